"""What the figures were measured on, and what processes use of it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path


def describe() -> dict[str, str]:
    """Processor, cores and versions, for the head of a report."""
    from fluxqueue import __version__

    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    redis = subprocess.run(
        ["redis-server", "--version"], capture_output=True, text=True, check=True
    )
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "redis": redis.stdout.split("v=", 1)[1].split()[0],
        "fluxqueue": __version__,
    }


def tree(pid: int) -> Iterator[int]:
    """The process and all that come from it."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it has just ended
        return
    for child in children:
        yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process so far, with all that come from it
    and those of them that it has waited for."""
    ticks = 0
    for process in tree(pid):
        try:
            stat = Path(f"/proc/{process}/stat").read_text()
        except OSError:  # it has just ended
            continue
        ticks += sum(int(field) for field in stat.rpartition(")")[2].split()[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mib(pid: int) -> float:
    """The share of memory of a process (proportional set size), MiB, with all
    that come from it."""
    return sum(_pss_kib(process) for process in tree(pid)) / 1024


def _pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError(f"process {pid} has no Pss in smaps_rollup")


def pin(pid: int, cores: set[int]) -> None:
    """Every thread of a process runs on these cores from now on."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)
