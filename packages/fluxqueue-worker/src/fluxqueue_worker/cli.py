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

from . import descriptors, shutdown
from .first_process import continue_as_child
from .options import Options, parse
from .supervised import SupervisorLink

if TYPE_CHECKING:
    from .application import Application


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
        Settings(options.redis_url, namespace=options.namespace)
    except ConfigurationError as error:
        fail(prog, str(error))
    continue_as_child()
    logger = log.configure(options.log_format, options.log_level)
    if options.wants_reloader:
        from .reloader import Reloader

        try:
            return Reloader(options, sys.argv[1:] if argv is None else argv, logger).run()
        except ConfigurationError as error:
            fail(prog, str(error))
    if options.wants_supervisor:
        # The supervisor imports nothing that only its processes need.
        from .supervisor import Supervisor

        try:
            return Supervisor(options, sys.argv[1:] if argv is None else argv, logger).run()
        except ConfigurationError as error:
            fail(prog, str(error))
    position = options.process_position
    link = SupervisorLink(position) if position is not None else None
    application = _load(options, prog)
    if application is None:
        return 1
    if options.tell_redis is not None:
        told = f"{application.url_in_code or ''}\n{application.settings.namespace}"
        os.write(options.tell_redis, told.encode())
        # Threads and exit handlers of the application must not delay `fluxqueue dev`.
        os._exit(0)
    from fluxqueue.served import serve

    from . import other_objects
    from .worker import Worker

    try:
        descriptors.allow(len(application.options.queues), application.options.concurrency)
        serve(application.options.queues, application.settings.namespace)
        other_objects.adopt(application, logger)
        worker = Worker(application.options, application.settings, application.tasks, logger, link)
    except ConfigurationError as error:
        fail(prog, str(error))
    application.warn(logger)
    # After the application and asyncio: both may have imported `logging`.
    adopt_standard_logging()
    code = worker.run()
    return shutdown.exit_with(code, worker.stuck)


def _load(options: Options, prog: str) -> Application | None:
    """The application; None if its modules raised, which is printed."""
    # As `python -m` does; the script's own folder is of no use to the application.
    if options.folder not in sys.path:
        sys.path.insert(0, options.folder)
    from .application import load
    from .task_loader import TasksError

    try:
        return load(options)
    except TasksError as error:
        fail(prog, str(error))
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
