"""`manage.py demo`: the tables, the site, and a Redis, a scheduler and a worker for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """Runs all parts of the shop until Ctrl+C. In production each of them is a service."""

    help = "Runs the shop: the site, and `fluxqueue dev` with a Redis, a scheduler and a worker."

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the port of the site."""
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        """Starts the parts, and ends them all when one of them ends."""
        call_command("migrate", verbosity=0)
        environment = os.environ | {"PYTHONPATH": str(settings.FOLDER)}
        manage, dev = str(settings.FOLDER / "manage.py"), "fluxqueue.django.worker_app"
        parts = [
            [manage, "runserver", "--noreload", str(port)],
            ["-m", "fluxqueue", "dev", "-t", dev],
        ]
        over = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: over.set())
        running = [
            subprocess.Popen([sys.executable, *part], env=environment, process_group=0)
            for part in parts
        ]
        self.stdout.write(f"The shop: http://127.0.0.1:{port}/ (end it with Ctrl+C)")
        while not over.wait(0.2) and all(part.poll() is None for part in running):
            pass
        for part in running:
            part.terminate()
        for part in running:
            part.wait()
