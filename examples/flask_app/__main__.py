"""Runs the example: a Redis if FLUXQUEUE_REDIS_URL names none, a scheduler, a worker, gunicorn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from fluxqueue.child_process import bound_to_parent
from fluxqueue.embedded import EmbeddedRedis

COMMANDS = (
    ["-m", "fluxqueue_scheduler"],
    ["-m", "fluxqueue_worker", "-t", "letters"],
    ["-m", "gunicorn", "app:create_app()", "--preload", "--workers=2"],
)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ.setdefault("DATABASE", str(Path(folder, "letters.sqlite")))
        if "FLUXQUEUE_REDIS_URL" not in os.environ:
            os.environ["FLUXQUEUE_REDIS_URL"] = stack.enter_context(EmbeddedRedis()).url
        for command in COMMANDS:
            bind = [f"--bind=127.0.0.1:{os.environ.get('PORT', '8000')}"] * ("gunicorn" in command)
            process = subprocess.Popen(
                bound_to_parent([sys.executable, *command, *bind]), cwd=Path(__file__).parent
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        signal.pause()
