"""The command `fluxqueue`, whose subcommands come from the packages installed.

A package offers one as an entry point of the group `fluxqueue.commands`: a
function `main(argv: list[str], prog: str) -> int`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

GROUP = "fluxqueue.commands"
USAGE_ERROR = 2

# Our own: the package that brings it, and what it does. Said here, so that the
# help neither imports a worker nor is silent about one that is not installed.
OWN = {
    "start": ("fluxqueue-worker", "run a worker for the tasks of a module"),
    "scheduler": ("fluxqueue-scheduler", "run retries when they are due, and rescue lost tasks"),
    "dev": ("fluxqueue", "run Redis, scheduler and worker in one terminal"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand and returns its exit code; 2 where there is none."""
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
    commands = _commands()
    if name not in commands:
        return _fail(_missing(name, commands))
    try:
        command = commands[name].load()
    except ModuleNotFoundError as error:
        return _fail(f"`fluxqueue {name}` needs {error.name}, which is not installed")
    code: int = command(rest, f"fluxqueue {name}")
    return code


def _commands() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _missing(name: str, commands: dict[str, EntryPoint]) -> str:
    if name in OWN:
        package = OWN[name][0]
        return f"`fluxqueue {name}` comes with {package}: run `pip install {package}`"
    kind = "option" if name.startswith("-") else "command"
    return f"no {kind} {name!a}; the commands are: {', '.join(sorted(commands))}"


def _fail(message: str) -> int:
    print(f"fluxqueue: {message}", file=sys.stderr)
    return USAGE_ERROR


def _help() -> str:
    commands = _commands()
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
    absent = sorted({package for name, (package, _) in OWN.items() if name not in commands})
    if absent:
        lines += ["", f"more commands: pip install {' '.join(absent)}"]
    return "\n".join(lines)


def _summary(name: str, entry: EntryPoint) -> str:
    if name in OWN:
        return OWN[name][1]
    return f"from {entry.dist.name}" if entry.dist is not None else ""
