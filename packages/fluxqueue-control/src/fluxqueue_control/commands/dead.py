"""`fluxqueue dead`: lists, shows, groups, replays and deletes dead tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import dead_changes, dead_groups, dead_views
from .answers import add_common, add_limit, add_queue, add_rate, parser_of, run
from .conditions import add_header, add_id
from .numbers import count

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers

_VERBS = {
    "list": ("print dead tasks, the newest first", dead_views.list_),
    "show": ("print dead tasks in full", dead_views.show),
    "groups": ("count dead tasks by what went wrong", dead_groups.groups),
    "replay": ("enqueue dead tasks again", dead_changes.replay),
    "delete": ("remove dead tasks", dead_changes.delete),
}


def main(argv: list[str], prog: str = "fluxqueue dead") -> int:
    """Reads or changes the dead set of a queue; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Lists and changes the dead tasks of a queue.",
        "0 if everything was done, 1 if a part was not",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, (summary, _) in _VERBS.items():
        _add_verb(verbs.add_parser(verb, help=summary, description=f"{summary.capitalize()}."))
    arguments = parser.parse_args(argv)
    if verb_needs_choice(arguments):
        parser.error(
            f"name tasks to {arguments.verb}, or give --all, --group, --reason, --task, --id or "
            f"--header"
        )
    _, act = _VERBS[arguments.verb]

    def with_servers(servers: Servers) -> int:
        return act(f"{prog} {arguments.verb}", servers, arguments)

    return run(prog, arguments, with_servers)


def verb_needs_choice(arguments: Any) -> bool:
    """Whether the command line does not say which tasks it means."""
    if arguments.verb in ("list", "groups"):
        return False
    chooses = arguments.verb != "show" and (
        arguments.all
        or any(
            chosen not in (None, [])
            for chosen in (
                *(arguments.group, arguments.reason, arguments.task),
                *(arguments.id, arguments.header),
            )
        )
    )
    return not arguments.ids and not chooses


def _add_verb(parser: Any) -> None:
    verb = parser.prog.split()[-1]
    add_queue(parser)
    if verb not in ("list", "groups"):
        parser.add_argument(
            "ids",
            nargs="+" if verb == "show" else "*",
            metavar="ID",
            help="a task's id or entry, or the text that was its task_id",
        )
    if verb == "groups":
        parser.add_argument("--limit", type=count, metavar="N", help="at most this many tasks")
    elif verb != "show":
        parser.add_argument("--group", metavar="GROUP", help="only tasks of this group")
        parser.add_argument("--reason", metavar="WORD", help="only tasks with this reason")
        parser.add_argument(
            "--task", metavar="NAME", help="only tasks of this name, or, with `shop.*`, of these"
        )
        add_id(parser)
        add_header(parser)
        add_limit(parser, 20 if verb == "list" else None)
    if verb in ("replay", "delete"):
        parser.add_argument("--all", action="store_true", help="all dead tasks of the queue")
        parser.add_argument("--dry-run", action="store_true", help="print them, change nothing")
        add_rate(parser)
    if verb == "replay":
        parser.add_argument(
            "--drop-expiry",
            action="store_true",
            help="replay expired tasks too, without their expiry",
        )
    add_common(parser)
