"""Describes this worker process for operators.

Redis keeps the text for each of the worker's consumers while that consumer lives.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from fluxqueue_core import __version__

if TYPE_CHECKING:
    from .options import Options

# The core takes 4 KiB. The rest of the text is small.
MOST_BYTES = 3_500


def identity(options: Options, is_lane: bool) -> str:
    """Returns a JSON object: `host`, `pid`, `version`, `slots`, `queues` (as many as
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
