"""Counts the cores that this process may use."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(own: Path = Path("/proc/self/cgroup"), root: Path = CGROUPS) -> int:
    """The number of cores on which the process may run, at least 1. It is lower if the
    process's control group (cgroups v2) or one above it has a quota of CPU time."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    quota = cpu_quota(own, root)
    return cores if quota is None else max(1, min(cores, ceil(quota)))


def cpu_quota(own: Path, root: Path) -> float | None:
    """The smallest quota in cores; None without a quota. `cpu.max` has the microseconds
    of CPU time per period and the period, or "max"."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    groups = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
    if not groups:
        return None
    quotas = []
    folder = root / groups[0]
    for place in (folder, *folder.parents):
        try:
            time, period = (place / "cpu.max").read_text().split()
            quotas.append(int(time) / int(period))
        except (OSError, ValueError):
            pass
        if place == root:
            break
    return min(quotas, default=None)
