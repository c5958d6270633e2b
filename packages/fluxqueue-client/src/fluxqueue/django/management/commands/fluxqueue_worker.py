"""`manage.py fluxqueue_worker`: `fluxqueue start` for a Django project."""

from __future__ import annotations

import importlib.util
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fluxqueue.django.backend import WORKER_ALIAS, FluxQueueBackend
from fluxqueue.django.framework import task_backends
from fluxqueue.installing import how_to_install

MODULE = "fluxqueue.django.worker_app"


class Command(BaseCommand):
    """Runs the tasks of all installed applications until a signal ends it."""

    help = (
        "Runs the tasks of all installed applications, from the QUEUES of the backend. It takes "
        "the options of `fluxqueue start` too, such as --concurrency 8 or --processes auto. With "
        "DEBUG it starts again when a source file changes, unless you give --no-reload."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Returns a parser that leaves what it does not know to the worker."""
        parser = super().create_parser(prog_name, subcommand, allow_abbrev=False, **kwargs)

        def parse_args(args: Sequence[str] | None = None, namespace: Any = None) -> Namespace:
            known: Namespace
            known, rest = parser.parse_known_args(args, namespace)
            known.worker_options = rest
            return known

        parser.parse_args = parse_args
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the only option that is not the worker's."""
        parser.add_argument(
            "--backend", default="default", help="which backend of settings.TASKS (default)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs the worker in this process, and ends with its exit code.

        Raises:
            CommandError: there is no such backend, or no worker is installed.
        """
        alias: str = options["backend"]
        if alias not in task_backends.settings:
            known = ", ".join(sorted(task_backends.settings))
            raise CommandError(f"settings.TASKS has no backend {alias!r}; it has {known}")
        backend = task_backends[alias]
        if not isinstance(backend, FluxQueueBackend):
            raise CommandError(
                f"TASKS[{alias!r}] has the backend {type(backend).__name__}, not FluxQueueBackend"
            )
        if importlib.util.find_spec("fluxqueue_worker") is None:
            raise CommandError(f"no worker is installed; {how_to_install('fluxqueue-worker')}")
        from fluxqueue_worker.cli import main

        argv = ["-t", MODULE, *options["worker_options"]]
        _set_environment(backend, argv, options["pythonpath"])
        if not _has(argv, "-q", "--queue", "FLUXQUEUE_QUEUE"):
            names = task_backends.settings[alias].get("QUEUES", ["default"])
            argv += ["-q", ",".join(names) or "*"]
        if settings.DEBUG and not _has(argv, "--reload", "--no-reload", "FLUXQUEUE_RELOAD"):
            if importlib.util.find_spec("watchfiles") and importlib.util.find_spec("pathspec"):
                argv.append("--reload")
            else:
                self.stderr.write(
                    "No restart when a file changes, for lack of a package: "
                    "pip install 'pathspec>=0.12' 'watchfiles>=1'"
                )
        sys.exit(main(argv, "manage.py fluxqueue_worker"))


def _set_environment(backend: FluxQueueBackend, argv: list[str], pythonpath: str | None) -> None:
    """Sets the variables by which the processes of the worker find the project and its Redis. A
    URL on a command line would show its password to all users of the machine."""
    os.environ[WORKER_ALIAS] = backend.alias
    # The folders of manage.py and of --pythonpath; `python -m` does not know them.
    own = [os.path.abspath(folder) for folder in sys.path[: 2 if pythonpath else 1]]
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [*own, os.environ.get("PYTHONPATH", "")])
    )
    configuration = backend.configuration
    if configuration.redis_url is not None and not _has(argv, "-r", "--redis-url"):
        os.environ["FLUXQUEUE_REDIS_URL"] = configuration.redis_url
    if configuration.namespace is not None and not _has(argv, "--namespace"):
        os.environ["FLUXQUEUE_NAMESPACE"] = configuration.namespace


def _has(argv: list[str], *names: str) -> bool:
    """Whether the command line has one of the flags, or the environment one of the variables."""
    return any(
        bool(os.environ.get(name))
        if name.startswith("FLUXQUEUE_")
        else any(word == name or _is_joined(word, name) for word in argv)
        for name in names
    )


def _is_joined(word: str, flag: str) -> bool:
    """Whether a word is a flag with its value, such as `--queue=mails` or `-qmails`."""
    return word.startswith(f"{flag}=" if flag.startswith("--") else flag)
