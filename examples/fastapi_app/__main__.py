"""Runs the example: a Redis if FLUXQUEUE_REDIS_URL names none, a scheduler, and the web server."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

import uvicorn
from fluxqueue.child_process import bound_to_parent
from fluxqueue.embedded import EmbeddedRedis

if __name__ == "__main__":
    with ExitStack() as stack:
        if "FLUXQUEUE_REDIS_URL" not in os.environ:
            os.environ["FLUXQUEUE_REDIS_URL"] = stack.enter_context(EmbeddedRedis()).url
        scheduler = subprocess.Popen(bound_to_parent([sys.executable, "-m", "fluxqueue_scheduler"]))
        stack.callback(scheduler.wait)
        stack.callback(scheduler.terminate)
        uvicorn.run(
            "app:app", port=int(os.environ.get("PORT", "8000")), timeout_graceful_shutdown=5
        )
