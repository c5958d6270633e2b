"""`fluxqueue strike`: stops the tasks of a name, or those with a certain argument."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .answers import (
    DONE,
    SOME_NOT,
    add_common,
    add_queue,
    parser_of,
    print_json,
    print_table,
    run,
    say,
)

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers


def main(argv: list[str], prog: str = "fluxqueue strike") -> int:
    """Adds, lifts or lists strikes; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Stops tasks before they begin: all of a name, or those with a certain argument. They are "
        "dead with the reason `struck`. Once the strike is lifted, you can replay them.",
        "0 if it is done, 1 if a strike to lift does not exist",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("add", help="stop tasks", description="Stops tasks.")
    add.add_argument("task", metavar="NAME", help="the name of the tasks")
    add.add_argument(
        "rule", nargs="?", metavar="ARGUMENT=VALUE",
        help="only tasks with this argument, by its name or position, such as user.id=7; the "
        "value is JSON, or text",
    )  # fmt: skip
    lift = verbs.add_parser("lift", help="lift strikes", description="Lifts strikes.")
    lift.add_argument("ids", nargs="+", metavar="ID", help="a strike, as `list` names it")
    show = verbs.add_parser("list", help="print strikes", description="Prints strikes.")
    for verb in (add, lift, show):
        add_queue(verb)
        add_common(verb)
    arguments = parser.parse_args(argv)
    rule = getattr(arguments, "rule", None)
    if rule is not None and not all(rule.partition("=")[:2]):
        add.error(f"{rule!r} is not ARGUMENT=VALUE")

    def act(servers: Servers) -> int:
        verbs = {"add": _add, "lift": _lift, "list": _list}
        return verbs[arguments.verb](f"{prog} {arguments.verb}", servers, arguments)

    return run(prog, arguments, act)


def _add(prog: str, servers: Servers, arguments: Any) -> int:
    from fluxqueue_control import strikes

    queue, argument, value = arguments.queue, None, None
    if arguments.rule is not None:
        argument, _, text = arguments.rule.partition("=")
        value = value_of(text)
    rule = strikes.Strike(arguments.task, argument, value)
    answer = strikes.strike(servers.of_queue(queue), queue, rule)
    if arguments.json:
        print_json({"queue": queue, "strike": rule.id, "answer": answer})
    else:
        print(f"{rule.id} {answer}")
    return DONE


def _lift(prog: str, servers: Servers, arguments: Any) -> int:
    from fluxqueue_control import strikes

    queue, code = arguments.queue, DONE
    for strike in arguments.ids:
        was_there = strikes.lift(servers.of_queue(queue), queue, strike)
        if arguments.json:
            print_json({"queue": queue, "strike": strike, "lifted": was_there})
        elif was_there:
            print(f"{strike} lifted")
        if not was_there:
            say(prog, f"queue {queue!r} has no strike {strike!r}; `list` prints them")
            code = SOME_NOT
    return code


def _list(prog: str, servers: Servers, arguments: Any) -> int:
    from fluxqueue_control import strikes

    queue = arguments.queue
    found = sorted(strikes.read_all(servers.of_queue(queue), queue), key=lambda each: each.task)
    if arguments.json:
        for each in found:
            rule = {"task": each.task, "argument": each.argument, "value": each.value}
            print_json({"queue": queue, "strike": each.id, **rule})
        return DONE
    print_table(
        ("strike", "task", "argument", "value"),
        [
            (each.id, each.task, each.argument, None if each.argument is None else _json(each))
            for each in found
        ],
    )
    return DONE


def _json(strike: Any) -> str:
    return json.dumps(strike.value)


def value_of(text: str) -> Any:
    """Reads a value of the command line: JSON if it can be read so, otherwise text."""
    from fluxqueue_control.shown_json import read_json

    try:
        return read_json(text)
    except ValueError:
        return text
