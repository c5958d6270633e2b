"""The command `fluxqueue`. The installed packages provide its subcommands.

A package provides a subcommand as an entry point of the group `fluxqueue.commands`: a
function `main(argv: list[str], prog: str) -> int`. FluxQueue's own packages need none,
because this module knows their names: a search for entry points takes 2 MiB of memory for
as long as the command runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from .installing import how_to_install

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "fluxqueue.commands"
USAGE_ERROR = 2

Command = Callable[[list[str], str], int]


class Own(NamedTuple):
    """A subcommand of one of FluxQueue's own packages: the package, the module and a
    description. The help reads it here, so it need not import a worker, and can mention a
    package that is not installed."""

    package: str
    module: str
    summary: str


OWN = {
    "start": Own(
        "fluxqueue-worker", "fluxqueue_worker.cli", "run a worker for the tasks of a module"
    ),
    "scheduler": Own(
        "fluxqueue-scheduler",
        "fluxqueue_scheduler.cli",
        "enqueue delayed and periodic tasks and retries when due, rescue tasks of lost workers",
    ),
    "dashboard": Own(
        "fluxqueue-dashboard",
        "fluxqueue_dashboard.cli",
        "serve the dashboard: queues, tasks and workers in a browser",
    ),
    "dev": Own("fluxqueue", "fluxqueue.dev", "run Redis, scheduler and worker in one terminal"),
    "completion": Own(
        "fluxqueue", "fluxqueue.completion", "print a script that completes these commands"
    ),
    "limits": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.limits",
        "show the limits of tasks, and change them while workers run",
    ),
    "periodic": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.periodic",
        "list, pause, resume, run and remove periodic tasks",
    ),
    "queues": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.queues",
        "print how many tasks each queue has",
    ),
    "workers": Own(
        "fluxqueue-control", "fluxqueue_control.commands.workers", "print the workers of each queue"
    ),
    "task": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.task",
        "print where a task is, delete it, or run it now",
    ),
    "cancel": Own(
        "fluxqueue-control", "fluxqueue_control.commands.cancel", "cancel tasks by their ids"
    ),
    "tasks": Own(
        "fluxqueue-control", "fluxqueue_control.commands.tasks", "list tasks by their state"
    ),
    "search": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.search",
        "find tasks by id, name, header, reason, error or argument",
    ),
    "dead": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.dead",
        "list, show, group, replay and delete dead tasks",
    ),
    "job": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.job",
        "replay, delete, cancel or move many tasks at once",
    ),
    "strike": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.strike",
        "stop tasks by name or argument before they begin",
    ),
    "locks": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.locks",
        "print the locks of unique tasks, and which tasks hold them",
    ),
    "audit": Own(
        "fluxqueue-control", "fluxqueue_control.commands.audit", "print the changes of operators"
    ),
    "doctor": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.doctor",
        "say what is wrong with Redis, schedulers, workers and queues",
    ),
    "top": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.top",
        "show queues and workers in the terminal, as they change",
    ),
    "watch": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.watch",
        "print a line for each queue at intervals",
    ),
    "purge": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.purge",
        "remove all tasks of a queue in one state",
    ),
    "migrate": Own(
        "fluxqueue-control",
        "fluxqueue_control.commands.migrate",
        "move the tasks of FluxQueue 0.3.2 to this release",
    ),
    "pause": Own("fluxqueue-control", "fluxqueue_control.commands.pause", "pause queues"),
    "resume": Own("fluxqueue-control", "fluxqueue_control.commands.resume", "resume paused queues"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand and returns its exit code; 2 if there is no such subcommand."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        print(_help(), file=sys.stderr)
        return USAGE_ERROR
    name, rest = arguments[0], arguments[1:]
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name in ("-V", "--version"):
        from fluxqueue_core import __version__

        print(f"fluxqueue {__version__}")
        return 0
    try:
        command = load(name)
    except ModuleNotFoundError as error:
        return _fail(f"`fluxqueue {name}` needs {error.name}, which is not installed")
    if command is None:
        return _fail(_missing(name))
    return command(rest, f"fluxqueue {name}")


def load(name: str) -> Command | None:
    """Loads the function of a subcommand. None: no installed package provides it.

    Raises:
        ModuleNotFoundError: a module that the subcommand needs is not installed.
    """
    command: Command
    if name in OWN:
        module = OWN[name].module
        try:
            command = import_module(module).main
        except ModuleNotFoundError as error:
            if error.name != module.partition(".")[0]:
                raise
            return None
        return command
    entry = _entry_points().get(name)
    if entry is None:
        return None
    command = entry.load()
    return command


def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _missing(name: str) -> str:
    if name in OWN:
        package = OWN[name].package
        return f"`fluxqueue {name}` comes with {package}: {how_to_install(package)}"
    kind = "option" if name.startswith("-") else "command"
    return f"no {kind} {name!a}; the commands are: {', '.join(sorted(_entry_points()))}"


def _fail(message: str) -> int:
    print(f"fluxqueue: {message}", file=sys.stderr)
    return USAGE_ERROR


def _help() -> str:
    commands = _entry_points()
    width = max(map(len, commands), default=0)
    lines = [
        "usage: fluxqueue COMMAND [options]",
        "       fluxqueue COMMAND --help",
        "       fluxqueue --version",
        "",
        "commands:",
    ]
    for name in sorted(commands):
        lines.append(f"  {name:<{width}}  {_summary(name, commands[name])}".rstrip())
    absent = sorted({own.package for name, own in OWN.items() if name not in commands})
    if absent:
        lines += ["", f"for more commands {how_to_install(*absent)}"]
    return "\n".join(lines)


def _summary(name: str, entry: EntryPoint) -> str:
    if name in OWN:
        return OWN[name].summary
    return f"from {entry.dist.name}" if entry.dist is not None else ""
