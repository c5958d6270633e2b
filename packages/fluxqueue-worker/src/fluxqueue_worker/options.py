"""The worker's settings, and their way into its child process."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

from fluxqueue_core import __version__, check_queue_name
from fluxqueue_core.service.command_line import Parser, seconds, text, whole_number
from fluxqueue_core.service.common_settings import add_log_settings, add_redis_setting
from fluxqueue_core.service.health_settings import add_health_settings

from .supervised import ProcessSlot

DEFAULT_QUEUES: tuple[str, ...] = ("default",)
# The core takes no more.
MOST_CONCURRENCY = 10_000
MOST_PROCESSES = 1_000
MOST_TASKS = 2**53
MOST_MIB = 2**32


@dataclass(frozen=True)
class Options:
    """What the command line and the environment say.

    Attributes:
        concurrency: tasks that may run at once.
        redis_url: None where it was not given: see `fluxqueue_core.Settings`.
        tasks_module_path: see `task_loader.load`.
        queues: in order of priority.
        drain_timeout, lease, unknown_task_grace, timeout_grace: seconds.
        processes: worker processes; with more than one, or a limit, they have a
            supervisor.
        max_tasks: so many tasks end a process; 0: never, as for the next two.
        max_rss: MiB of memory that end a process.
        max_stuck: so many tasks that can't be ended end a process.
        health_port: 0: no health endpoint.
        parent: the process that this one is the suspects' lane of, or None.
        process_slot: its position under its supervisor, or None.
        folder: the working directory at the start.
    """

    concurrency: int
    redis_url: str | None
    tasks_module_path: str
    queues: tuple[str, ...]
    save_dead_tasks: bool
    log_format: str
    log_level: str
    drain_timeout: float
    lease: float
    unknown_task_grace: float
    timeout_grace: float
    processes: int
    max_tasks: int
    max_rss: int
    max_stuck: int
    health_host: str
    health_port: int
    parent: int | None
    process_slot: ProcessSlot | None
    folder: str

    @property
    def wants_supervisor(self) -> bool:
        """Whether this process is to start others that do the work."""
        limited = self.max_tasks or self.max_rss or self.max_stuck
        alone = self.parent is None and self.process_slot is None
        return alone and bool(self.processes > 1 or limited)

    def lane_environment(self, queue: str) -> dict[str, str]:
        """The environment of a child that serves the suspects of `queue`."""
        environment = dict(os.environ)
        if self.redis_url is not None:
            environment["FLUXQUEUE_REDIS_URL"] = self.redis_url
        environment |= {
            "FLUXQUEUE_CONCURRENCY": "1",
            "FLUXQUEUE_TASKS_MODULE_PATH": self.tasks_module_path,
            "FLUXQUEUE_QUEUE": queue,
            "FLUXQUEUE_SAVE_DEAD_TASKS": "yes" if self.save_dead_tasks else "no",
            "FLUXQUEUE_LOG_FORMAT": self.log_format,
            "FLUXQUEUE_LOG_LEVEL": self.log_level,
            "FLUXQUEUE_DRAIN_TIMEOUT": repr(self.drain_timeout),
            "FLUXQUEUE_LEASE": repr(self.lease),
            "FLUXQUEUE_UNKNOWN_TASK_GRACE": repr(self.unknown_task_grace),
            "FLUXQUEUE_TIMEOUT_GRACE": repr(self.timeout_grace),
            # One task at a time: a stuck one is in the way of the others.
            "FLUXQUEUE_MAX_STUCK": "1",
            "FLUXQUEUE_MAX_TASKS": "0",
            "FLUXQUEUE_MAX_RSS": "0",
            "FLUXQUEUE_PROCESSES": "1",
            # The port is the parent's.
            "FLUXQUEUE_HEALTH_PORT": "0",
        }
        return environment


def parse(argv: list[str] | None, prog: str) -> Options:
    """Reads the command line and the environment.

    Raises:
        SystemExit: with 2 and one line on stderr where something is wrong,
            with 0 after `--help`.
    """
    parser = Parser(prog, description="Runs the tasks that applications enqueue.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.setting(
        "-c",
        "--concurrency",
        env="FLUXQUEUE_CONCURRENCY",
        default=4,
        parse=whole_number(1, MOST_CONCURRENCY),
        metavar="N",
        help="how many tasks run at once",
    )
    add_redis_setting(parser)
    parser.setting(
        "-t",
        "--tasks-module-path",
        env="FLUXQUEUE_TASKS_MODULE_PATH",
        default=None,
        parse=text,
        metavar="PATH",
        help="the module with the tasks: myapp.tasks, myapp/tasks.py or myapp.tasks:fluxqueue",
    )
    parser.setting(
        "-q",
        "--queue",
        env="FLUXQUEUE_QUEUE",
        default=DEFAULT_QUEUES,
        parse=queue_names,
        metavar="NAMES",
        help="one queue or several, comma-separated, in order of priority",
    )
    parser.switch(
        "--save-dead-tasks",
        env="FLUXQUEUE_SAVE_DEAD_TASKS",
        default=True,
        help="keep tasks that are dead, with their error",
    )
    add_log_settings(parser)
    parser.setting(
        "--drain-timeout",
        env="FLUXQUEUE_DRAIN_TIMEOUT",
        default=30.0,
        parse=seconds(0),
        metavar="SECONDS",
        help="how long running tasks may go on after SIGTERM",
    )
    parser.setting(
        "--lease",
        env="FLUXQUEUE_LEASE",
        default=10.0,
        parse=seconds(1),
        metavar="SECONDS",
        help="how long after this worker's death its tasks go to others",
    )
    parser.setting(
        "--unknown-task-grace",
        env="FLUXQUEUE_UNKNOWN_TASK_GRACE",
        default=300.0,
        parse=seconds(0),
        metavar="SECONDS",
        help="how long a task, or a version of messages, that no worker knows "
        "is kept for one that does",
    )
    parser.setting(
        "--timeout-grace",
        env="FLUXQUEUE_TIMEOUT_GRACE",
        default=5.0,
        parse=seconds(0),
        metavar="SECONDS",
        help="how long after its timeout a task that has not ended counts as stuck",
    )
    parser.setting(
        "--processes",
        env="FLUXQUEUE_PROCESSES",
        default=1,
        parse=processes,
        metavar="N|auto",
        help="how many processes run tasks, each as many as --concurrency says; auto: as many"
        " as there are cores for it",
    )
    parser.setting(
        "--max-tasks",
        env="FLUXQUEUE_MAX_TASKS",
        default=0,
        parse=whole_number(0, MOST_TASKS),
        metavar="N",
        help="replace a process after so many tasks; 0: never",
    )
    parser.setting(
        "--max-rss",
        env="FLUXQUEUE_MAX_RSS",
        default=0,
        parse=whole_number(0, MOST_MIB),
        metavar="MIB",
        help="replace a process that has so many MiB of resident memory; 0: never",
    )
    parser.setting(
        "--max-stuck",
        env="FLUXQUEUE_MAX_STUCK",
        default=0,
        parse=whole_number(0, MOST_CONCURRENCY),
        metavar="N",
        help="replace a process in which so many tasks are stuck; 0: never",
    )
    add_health_settings(parser)
    parser.add_argument("--suspects-lane", type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument(
        "--supervised", type=ProcessSlot.parse, default=None, metavar="SLOT", help=argparse.SUPPRESS
    )
    values = parser.parse_args(argv)
    if values.tasks_module_path is None:
        parser.error("-t/--tasks-module-path (or FLUXQUEUE_TASKS_MODULE_PATH) is required")
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        parser.error("the working directory has been deleted; start the worker in another one")
    return Options(
        concurrency=values.concurrency,
        redis_url=values.redis_url,
        tasks_module_path=values.tasks_module_path,
        queues=tuple(values.queue),
        save_dead_tasks=values.save_dead_tasks,
        log_format=values.log_format,
        log_level=values.log_level,
        drain_timeout=values.drain_timeout,
        lease=values.lease,
        unknown_task_grace=values.unknown_task_grace,
        timeout_grace=values.timeout_grace,
        processes=values.processes,
        max_tasks=values.max_tasks,
        max_rss=values.max_rss,
        max_stuck=values.max_stuck,
        health_host=values.health_host,
        health_port=values.health_port,
        parent=values.suspects_lane,
        process_slot=values.supervised,
        folder=folder,
    )


def processes(value: str) -> int:
    """Reads a number of processes, or `auto` for one per usable core.

    Raises:
        ValueError: it is neither.
    """
    if value.strip().lower() == "auto":
        from .cores import usable_cores

        return usable_cores()
    try:
        return whole_number(1, MOST_PROCESSES)(value)
    except ValueError as error:
        raise ValueError(f"{error}, nor auto") from None


def queue_names(value: str) -> tuple[str, ...]:
    """The names in a comma-separated list, each once.

    Raises:
        ValueError: a name is not valid (`ConfigurationError` is one).
    """
    names = [name.strip() for name in value.split(",")]
    for name in names:
        if not name:
            raise ValueError(f"{value!r} has an empty queue name")
        check_queue_name(name)
    return tuple(dict.fromkeys(names))
