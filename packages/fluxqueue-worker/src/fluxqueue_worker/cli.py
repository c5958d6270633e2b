"""`fluxqueue start` and `fluxqueue-worker`."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from fluxqueue_core import Settings
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service import log
from fluxqueue_core.service.command_line import fail
from fluxqueue_core.service.process import adopt_standard_logging

from . import shutdown
from .options import Options, parse
from .supervised import SupervisorLink

if TYPE_CHECKING:
    from .registered_task import Tasks


def main(argv: list[str] | None = None, prog: str = "fluxqueue-worker") -> int:
    """Runs a worker until a signal ends it.

    Args:
        argv: the arguments after the command; by default those of this process.
        prog: the command's name, for messages.

    Returns:
        The exit code: 0 after a drain; 1 if the application's modules or the worker
        itself failed, or if a process under a supervisor failed in its drain.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong setting.
    """
    options = parse(argv, prog)
    try:
        settings = Settings(options.redis_url)
    except ConfigurationError as error:
        fail(prog, str(error))
    logger = log.configure(options.log_format, options.log_level)
    if options.wants_supervisor:
        # The supervisor imports nothing that only its processes need.
        from .supervisor import Supervisor

        try:
            return Supervisor(options, sys.argv[1:] if argv is None else argv, logger).run()
        except ConfigurationError as error:
            fail(prog, str(error))
    position = options.process_position
    link = SupervisorLink(position) if position is not None else None
    tasks = _load_tasks(options, prog)
    if tasks is None:
        return 1
    from .worker import Worker

    try:
        worker = Worker(options, settings, tasks, logger, link)
    except ConfigurationError as error:
        fail(prog, str(error))
    # After the application and asyncio: both may have imported `logging`.
    adopt_standard_logging()
    code = worker.run()
    return shutdown.exit_with(code, worker.stuck)


def _load_tasks(options: Options, prog: str) -> Tasks | None:
    """The tasks; None if the application's modules raised, which is printed."""
    # As `python -m` does; the script's own folder is of no use to the application.
    if options.folder not in sys.path:
        sys.path.insert(0, options.folder)
    from . import task_loader

    try:
        return task_loader.load(options.tasks_module_path, options.queues)
    except task_loader.TasksError as error:
        fail(prog, str(error))
    except SystemExit as error:
        # A script that was given as a module. Other codes tell that it failed.
        if error.code in (None, 0):
            path = options.tasks_module_path
            fail(prog, f"importing {path!r} calls sys.exit(); put that under __main__")
        raise
    except Exception as error:  # noqa: BLE001 - the application's, shown as it is
        import traceback

        trace = _without_our_frames(error.__traceback__)
        traceback.print_exception(type(error), error, trace)
        return None


def _without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    """The part of the traceback that begins in the application."""
    ours = os.path.dirname(os.path.abspath(__file__)) + os.sep
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not (file.startswith(("<frozen importlib", ours)) or "/importlib/" in file):
            break
        trace = trace.tb_next
    return trace
