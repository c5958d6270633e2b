"""`scripts/bench flame`: where the time goes, by py-spy with native frames."""

from __future__ import annotations

import subprocess
import sys
import time

from .harness import FOLDER, Bench

IMAGES = FOLDER.parent / "docs" / "images" / "benchmarks"
_RATE = 500


# By the name of the image: the mode of `enqueue`, and more tasks than are sampled.
_ENQUEUEING = {
    "flame-enqueue.svg": ("one", 400_000),
    "flame-gathered.svg": ("gather-uvloop", 3_000_000),
    "flame-bulk.svg": ("bulk", 10_000_000),
}


def main() -> int:
    """Writes the images. Returns 1 if py-spy fails."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with Bench() as bench:
        bench.enqueue("fill", 1_500_000)
        with bench.worker() as worker:
            bench.wait_for(1)
            failed = _record("flame-worker.svg", worker.pid, seconds=5)
        for name, (mode, n) in _ENQUEUEING.items():
            bench.reset()
            producer = subprocess.Popen(
                [sys.executable, "-m", "fluxqueue_bench.enqueue", mode, str(n)],
                cwd=FOLDER,
                env=bench.environment,
                stdout=subprocess.DEVNULL,
            )
            time.sleep(1)  # past the imports
            failed |= _record(name, producer.pid, seconds=3)
            producer.terminate()
            producer.wait()
    return failed


def _record(name: str, pid: int, seconds: int) -> int:
    command = ["py-spy", "record", "--native", "--rate", str(_RATE), "--format", "flamegraph"]
    arguments = ["--pid", str(pid), "--duration", str(seconds)]
    # The command is the title of the image: no path of this machine in it.
    run = subprocess.run([*command, "--output", name, *arguments], cwd=IMAGES, check=False)
    if run.returncode:
        print(f"py-spy ended with {run.returncode}; it has to run as root", file=sys.stderr)
    else:
        print(f"written: {IMAGES / name}")
    return min(run.returncode, 1)
