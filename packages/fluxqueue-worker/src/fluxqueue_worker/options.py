"""The worker's settings, and how its child process gets them."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, replace

from fluxqueue_core import __version__, check_queue_name
from fluxqueue_core.service import common_settings as common
from fluxqueue_core.service.command_line import Parser
from fluxqueue_core.service.setting import (
    Setting,
    environment_of,
    seconds,
    setting,
    whole_number,
    yes_or_no,
)

from .supervised import ProcessPosition

DEFAULT_QUEUES: tuple[str, ...] = ("default",)
# Not the name of a queue: those have letters, digits and . _ - : /
ALL_QUEUES = "*"
# The core accepts no higher number.
MOST_CONCURRENCY = 10_000
MOST_PROCESSES = 1_000
MOST_TASKS = 2**53
MOST_MIB = 2**32


def processes(value: str) -> int:
    """Reads a number of processes, or `auto` for one per usable core.

    Raises:
        ValueError: it is another text.
    """
    if value.strip().lower() == "auto":
        from .cores import usable_cores

        return usable_cores()
    try:
        return whole_number(1, MOST_PROCESSES)(value)
    except ValueError as error:
        raise ValueError(f"{error}, nor auto") from None


def queue_names(value: str) -> tuple[str, ...]:
    """Reads a comma-separated list of names, of which one may be `*`; keeps each once.

    Raises:
        ValueError: a name is not valid (`ConfigurationError` is a ValueError).
    """
    names = _split(value, "queue name")
    for name in names:
        if name != ALL_QUEUES:
            check_queue_name(name)
    return names


def module_paths(value: str) -> tuple[str, ...]:
    """Reads a comma-separated list of modules; keeps each once.

    Raises:
        ValueError: one is empty.
    """
    return _split(value, "module")


def folders(value: str) -> tuple[str, ...]:
    """Reads a comma-separated list of folders; keeps each once.

    Raises:
        ValueError: one is empty.
    """
    return _split(value, "folder")


def _split(value: str, what: str) -> tuple[str, ...]:
    parts = [part.strip() for part in value.split(",")]
    if not all(parts):
        raise ValueError(f"{value!r} has an empty {what}")
    return tuple(dict.fromkeys(parts))


@dataclass(frozen=True, kw_only=True)
class Options:
    """The values from the command line and the environment, in the order of `--help`.

    Attributes:
        redis_url, namespace: None if not given: see `fluxqueue_core.Settings`.
        tasks_modules: see `task_loader.find`.
        parent: the process whose suspects this one runs, or None.
        process_position: its position under its supervisor, or None.
        tell_redis: the descriptor to which to write the URL that the modules name and, in a
            second line, the namespace, and then end; None for a worker.
        embedded: whether this worker runs in the process of another program.
        folder: the working directory at the start.
    """

    concurrency: int = setting(
        Setting(
            flags=("-c", "--concurrency"),
            env="FLUXQUEUE_CONCURRENCY",
            default=4,
            parse=whole_number(1, MOST_CONCURRENCY),
            metavar="N",
            help="how many tasks run at once",
        )
    )
    redis_url: str | None = setting(common.REDIS_URL)
    namespace: str | None = setting(common.NAMESPACE)
    tasks_modules: tuple[str, ...] = setting(
        Setting(
            flags=("-t", "--tasks-module-path"),
            env="FLUXQUEUE_TASKS_MODULE_PATH",
            default=(),
            parse=module_paths,
            metavar="PATHS",
            help="the modules with the tasks, comma-separated or each with its own -t:"
            " myapp.tasks, myapp/tasks.py or myapp.tasks:fluxqueue",
        )
    )
    queues: tuple[str, ...] = setting(
        Setting(
            flags=("-q", "--queue"),
            env="FLUXQUEUE_QUEUE",
            default=DEFAULT_QUEUES,
            parse=queue_names,
            metavar="NAMES",
            help="one queue or several, comma-separated, in order of priority; '*': all"
            " others that the modules declare",
        )
    )
    save_dead_tasks: bool = setting(
        Setting(
            flags=("--save-dead-tasks",),
            env="FLUXQUEUE_SAVE_DEAD_TASKS",
            default=True,
            parse=yes_or_no,
            help="keep dead tasks, with their error",
        )
    )
    log_format: str = setting(common.LOG_FORMAT)
    log_level: str = setting(common.LOG_LEVEL)
    drain_timeout: float = setting(
        Setting(
            flags=("--drain-timeout",),
            env="FLUXQUEUE_DRAIN_TIMEOUT",
            default=30.0,
            parse=seconds(0),
            metavar="SECONDS",
            help="how long running tasks may continue after SIGTERM",
        )
    )
    lease: float = setting(
        Setting(
            flags=("--lease",),
            env="FLUXQUEUE_LEASE",
            default=10.0,
            parse=seconds(1),
            metavar="SECONDS",
            help="how long after this worker's death other workers get its tasks",
        )
    )
    unknown_task_grace: float = setting(
        Setting(
            flags=("--unknown-task-grace",),
            env="FLUXQUEUE_UNKNOWN_TASK_GRACE",
            default=300.0,
            parse=seconds(0),
            metavar="SECONDS",
            help="how long to keep a task that no worker knows, or a message of a newer"
            " version, for a worker that does",
        )
    )
    timeout_grace: float = setting(
        Setting(
            flags=("--timeout-grace",),
            env="FLUXQUEUE_TIMEOUT_GRACE",
            default=5.0,
            parse=seconds(0),
            metavar="SECONDS",
            help="how long after its timeout a task that still runs counts as stuck",
        )
    )
    processes: int = setting(
        Setting(
            flags=("--processes",),
            env="FLUXQUEUE_PROCESSES",
            default=1,
            parse=processes,
            metavar="N|auto",
            help="how many processes run tasks, each up to --concurrency at once; auto: one"
            " per usable core",
        )
    )
    max_tasks: int = setting(
        Setting(
            flags=("--max-tasks",),
            env="FLUXQUEUE_MAX_TASKS",
            default=0,
            parse=whole_number(0, MOST_TASKS),
            metavar="N",
            help="replace a process after N tasks; 0: never",
        )
    )
    max_rss: int = setting(
        Setting(
            flags=("--max-rss",),
            env="FLUXQUEUE_MAX_RSS",
            default=0,
            parse=whole_number(0, MOST_MIB),
            metavar="MIB",
            help="replace a process at this resident memory in MiB; 0: never",
        )
    )
    max_stuck: int = setting(
        Setting(
            flags=("--max-stuck",),
            env="FLUXQUEUE_MAX_STUCK",
            default=0,
            parse=whole_number(0, MOST_CONCURRENCY),
            metavar="N",
            help="replace a process with N stuck tasks; 0: never",
        )
    )
    reload: bool = setting(
        Setting(
            flags=("--reload",),
            env="FLUXQUEUE_RELOAD",
            default=False,
            parse=yes_or_no,
            help="for development: start a fresh worker when a source file changes",
        )
    )
    reload_dirs: tuple[str, ...] = setting(
        Setting(
            flags=("--reload-dir",),
            env="FLUXQUEUE_RELOAD_DIR",
            default=(".",),
            parse=folders,
            metavar="FOLDERS",
            help="the folders that --reload watches, comma-separated; by default the working"
            " directory",
        )
    )
    health_port: int = setting(common.HEALTH_PORT)
    health_host: str = setting(common.HEALTH_HOST)
    parent: int | None = None
    process_position: ProcessPosition | None = None
    tell_redis: int | None = None
    embedded: bool = False
    folder: str

    @property
    def _is_first(self) -> bool:
        """Whether a person or a service has started this process."""
        return self.parent is None and self.process_position is None and self.tell_redis is None

    @property
    def wants_reloader(self) -> bool:
        """Whether this process watches files and starts workers."""
        return self._is_first and self.reload

    @property
    def wants_supervisor(self) -> bool:
        """Whether this process starts others that do the work."""
        limited = self.max_tasks or self.max_rss or self.max_stuck
        return self._is_first and bool(self.processes > 1 or limited)

    def lane_environment(self, queue: str) -> dict[str, str]:
        """Returns the environment of a child that serves the suspects of `queue`."""
        lane = replace(
            self,
            queues=(queue,),
            concurrency=1,
            # It runs one task at a time: a stuck one blocks the others.
            max_stuck=1,
            max_tasks=0,
            max_rss=0,
            processes=1,
            reload=False,
            # The parent has the port.
            health_port=0,
        )
        # A program may find its modules by other ways than the worker's command does.
        path = {"PYTHONPATH": os.pathsep.join(sys.path)} if self.embedded else {}
        return {**os.environ, **path, **environment_of(lane)}


def parse(argv: list[str] | None, prog: str) -> Options:
    """Reads the command line and the environment.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value, with 0 after
            `--help`.
    """
    parser = Parser(prog, description="Runs the tasks that applications enqueue.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_settings(Options)
    parser.add_argument("--suspects-lane", dest="parent", type=int, help=argparse.SUPPRESS)
    parser.add_argument(
        "--supervised",
        dest="process_position",
        type=ProcessPosition.parse,
        metavar="POSITION",
        help=argparse.SUPPRESS,
    )
    parser.add_argument("--tell-redis", type=int, help=argparse.SUPPRESS)
    values = parser.parse_args(argv)
    if not values.tasks_modules:
        parser.error("-t/--tasks-module-path (or FLUXQUEUE_TASKS_MODULE_PATH) is required")
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        parser.error("the working directory has been deleted; start the worker in another one")
    return Options(**vars(values), folder=folder)
