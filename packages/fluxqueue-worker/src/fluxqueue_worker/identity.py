"""Describes this worker process for operators: in Redis, and in the first line of its log."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from fluxqueue_core import __version__

if TYPE_CHECKING:
    from fluxqueue_core import Settings

    from .options import Options
    from .registered_task import Tasks

# The core takes 4 KiB. The rest of the text is small.
MOST_BYTES = 3_500


def identity(options: Options, is_lane: bool) -> str:
    """Returns the text that Redis keeps for each of the worker's consumers while that consumer
    lives. It is a JSON object: `host`, `pid`, `version`, `slots`, `queues` (as many as
    fit), and `suspects`, which is true for the child process that runs suspects alone."""
    queues: list[str] = []
    left = MOST_BYTES
    for queue in options.queues:
        left -= len(json.dumps(queue, ensure_ascii=False).encode()) + 2
        if left < 0:
            break
        queues.append(queue)
    who = {
        # Not by the module socket: most workers need nothing else of its 200 KiB.
        # A name that is not UTF-8 has lone surrogates, which Redis can't take.
        "host": os.uname().nodename.encode(errors="backslashreplace").decode(),
        "pid": os.getpid(),
        "version": __version__,
        "slots": options.concurrency,
        "queues": queues,
        "suspects": is_lane,
    }
    return json.dumps(who, ensure_ascii=False)


def start_fields(options: Options, settings: Settings, tasks: Tasks) -> dict[str, Any]:
    """Returns the fields of the line `worker.started`."""
    fields: dict[str, Any] = {
        "version": __version__,
        "pid": os.getpid(),
        "queues": list(options.queues),
        "tasks": {queue: sorted(table) for queue, table in tasks.declared.items()},
        "concurrency": options.concurrency,
        "redis": settings.display_url,
    }
    if settings.namespace:
        fields["namespace"] = settings.namespace
    if options.parent is not None:
        fields["suspects_of"] = options.parent
    if options.process_position is not None:
        fields["process"] = options.process_position.index
    return fields
