"""Runs a task to its end with the packages that are installed: a call, a worker, a result.

    python trial.py REDIS_URL

It needs nothing but FluxQueue and a Redis, so that it runs in bare containers too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

APP = """
from fluxqueue import FluxQueue

fluxqueue = FluxQueue(namespace="trial")


@fluxqueue.task(result_ttl=60)
def add(a: int, b: int) -> int:
    return a + b


@fluxqueue.task(result_ttl=60)
async def multiply(a: int, b: int) -> int:
    return a * b
"""
CALL = """
from app import add, multiply

for handle, result in ((add.enqueue(2, 3), 5), (multiply.enqueue(4, 5), 20)):
    assert handle.result(timeout=30) == result
"""


def main(url: str) -> None:
    scripts = sysconfig.get_path("scripts")
    with tempfile.TemporaryDirectory(prefix="fluxqueue-trial-") as folder:
        Path(folder, "app.py").write_text(APP)
        environment = os.environ | {"FLUXQUEUE_REDIS_URL": url, "PYTHONPATH": folder}
        command = [f"{scripts}/fluxqueue", "start", "-t", "app", "--log-level", "warning"]
        worker = subprocess.Popen(command, env=environment, cwd=folder)
        try:
            call = [sys.executable, "-c", CALL]
            called = subprocess.run(call, env=environment, cwd=folder, timeout=60).returncode
            worker.terminate()
            code = worker.wait(60)
        finally:
            worker.kill()
            worker.wait()
    if called or code:
        sys.exit(f"the call ended with exit code {called}, the worker with {code}; see above")
    import fluxqueue_core._core as core

    print(f"two tasks ran to their end with {Path(core.__file__ or '').name}")


if __name__ == "__main__":
    main(sys.argv[1])
