"""One file per fault; README.md says what such a file has."""

from __future__ import annotations

import importlib
import pkgutil

from chaos.fault import Fault

# The order of the table; a fault that is not here comes after them by its name.
ORDER = (
    "worker_killed",
    "worker_killed_again",
    "worker_killed_in_drain",
    "worker_drained",
    "worker_drained_twice",
    "worker_stopped",
    "worker_stopped_past_lease",
    "scheduler_killed",
    "scheduler_stopped",
    "client_killed",
    "client_stopped",
    "redis_killed_always",
    "redis_killed_everysec",
    "redis_power_cut_everysec",
    "redis_hung",
    "redis_slow",
    "redis_busy",
    "redis_clients_killed",
    "redis_scripts_flushed",
    "redis_out_of_memory",
    "redis_read_only",
    "redis_disk_full_everysec",
    "redis_disk_full_always",
    "cut_in_command",
    "cut_in_reply",
    "cut_at_random",
    "black_hole",
    "black_hole_past_lease",
    "slow_network",
    "descriptors_of_worker",
    "descriptors_of_client",
    "clocks_apart",
    "clocks_jump",
    "task_exits",
    "task_segfaults",
    "task_out_of_memory",
    "task_no_memory",
    "task_holds_gil",
    "task_blocks_sigterm",
    "task_changes_signals",
    "task_leaves_threads",
    "task_closes_descriptors",
    "task_forks",
    "mixed",
)


def names() -> list[str]:
    """The names of all faults, which are those of their files."""
    found = {module.name for module in pkgutil.iter_modules(__path__)}
    ordered = [name for name in ORDER if name in found]
    return ordered + sorted(found.difference(ordered))


def load(name: str) -> Fault:
    """The fault of `faults/<name>.py`.

    Raises:
        ValueError: there is no such file.
    """
    if name not in names():
        raise ValueError(f"there is no fault {name!r}; there are: {', '.join(names())}")
    fault: Fault = importlib.import_module(f"{__name__}.{name}").FAULT
    return fault
