"""Starts the threads that declare to Redis what the code of this worker has."""

from __future__ import annotations

import threading

from fluxqueue_core.service.log import Logger

from .registered_task import Tasks


def start_declaring(tasks: Tasks, logger: Logger, ended: threading.Event) -> None:
    """Starts a thread for the periodic tasks and one for the limits, if there are any."""
    # Imported here: most workers have neither.
    if tasks.periodic:
        from .periodic import Declarations

        Declarations(tasks.periodic, logger, ended).start()
    if tasks.limits:
        from .limit_declarations import LimitDeclarations

        LimitDeclarations(tasks.limits, logger, ended).start()
