"""How many instructions a worker executes for a task, counted by valgrind."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .harness import FOLDER, Bench

_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


def of_worker(bench: Bench, n: int) -> float:
    """Instructions for each of n tasks, in all threads of the process, in user
    code. The worker has run a few hundred tasks before.

    Raises:
        RuntimeError: valgrind is not installed.
    """
    if shutil.which("valgrind") is None:
        raise RuntimeError("instructions are counted by valgrind; install it, or leave that out")
    bench.reset()
    with tempfile.TemporaryDirectory(prefix="fluxqueue-callgrind-") as folder:
        valgrind = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={folder}/dump"]
        worker = [sys.executable, "-m", "fluxqueue_worker", "-c", "4", "-r", bench.redis.url]
        process = subprocess.Popen(
            [*valgrind, *worker, "-t", "fluxqueue_bench.traced_tasks"],
            env=bench.environment,
            cwd=FOLDER,
        )
        try:
            counted = 0
            for tasks in (300, n):
                bench.forget_records()
                bench.enqueue("fill", tasks)
                bench.wait_for(tasks, 600)
                time.sleep(0.5)  # for the last outcomes to be settled
                counted += 1
                subprocess.run(
                    ["callgrind_control", "--dump", str(process.pid)],
                    check=True,
                    capture_output=True,
                )
            found = _TOTAL.search(Path(folder, f"dump.{counted}").read_text())
        finally:
            process.terminate()
            process.wait(60)
    if found is None:
        raise RuntimeError("callgrind has written no total")
    return int(found[1]) / n
