"""The machine that the figures were measured on, and the processes' use of it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

# Files that a run writes; changes in them don't change the measured code.
_WRITTEN = ("benchmarks/results", "docs")


def describe() -> dict[str, str]:
    """Processor, cores, kernel, versions and commit, for the head of a report."""
    from fluxqueue import __version__

    redis = subprocess.run(
        ["redis-server", "--version"], capture_output=True, text=True, check=True
    )
    return {
        "processor": processor(Path("/proc/cpuinfo").read_text()),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {kernel_version(platform.release())}",
        "libc": " ".join(platform.libc_ver()) or "unknown",
        "python": platform.python_version(),
        "redis": redis.stdout.split("v=", 1)[1].split()[0],
        "fluxqueue": __version__,
        "commit": commit(Path(__file__).parent),
    }


def processor(cpuinfo: str) -> str:
    """Returns the model in /proc/cpuinfo. Adds its numbers, if there are any, because
    virtual machines give one name to a whole series of processors."""
    pairs = (line.partition(":") for line in cpuinfo.splitlines())
    fields = {name.strip(): value.strip() for name, _, value in reversed(list(pairs))}
    numbers = [
        f"{text} {fields[name]}"
        for name, text in (("cpu family", "family"), ("model", "model"), ("stepping", "stepping"))
        if name in fields
    ]
    name = fields.get("model name", "unknown")
    return f"{name} ({' '.join(numbers)})" if numbers else name


def kernel_version(release: str) -> str:
    """Without what its builder has added: "6.1.0" of "6.1.0-13-amd64"."""
    found = re.match(r"\d+(\.\d+)*", release)
    return found[0] if found else release


def commit(folder: Path) -> str:
    """Returns the commit of the folder's repository, with `-dirty` if files other than
    results and documents have changed since. Returns "unknown" without a repository."""

    def git(*arguments: str) -> str:
        run = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
        return run.stdout.strip()

    try:
        found = git("rev-parse", "--short=12", "HEAD")
        left_out = [f":(top,exclude){path}" for path in _WRITTEN]
        changed = git("status", "--porcelain", "--", ":(top)", *left_out)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{found}-dirty" if changed else found


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
    return sum(_seconds(Path(f"/proc/{process}"), last=15) for process in tree(pid))


def by_thread(pid: int) -> dict[str, float]:
    """User and system seconds of a process' threads so far, by their names; those of
    one name together."""
    found: dict[str, float] = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        name = (thread / "comm").read_text().strip()
        found[name] = found.get(name, 0.0) + _seconds(thread, last=13)
    return found


def _seconds(folder: Path, last: int) -> float:
    """Of utime, stime, cutime and cstime (proc(5)) in a `stat` file, those before `last`."""
    try:
        stat = (folder / "stat").read_text()
    except OSError:  # it has just ended
        return 0.0
    ticks = sum(int(field) for field in stat.rpartition(")")[2].split()[11:last])
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
