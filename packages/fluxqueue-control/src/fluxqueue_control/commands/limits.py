"""`fluxqueue limits`: shows the limits of tasks, and changes them while workers run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from fluxqueue_core.limits import MOST_AT_ONCE, LimitRules
from fluxqueue_core.rates import read_rate
from fluxqueue_core.service.command_line import fail

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
    from fluxqueue_control.limits import LimitedKey, NamedLimit
    from fluxqueue_control.redis_client import RedisClient

# A flag of `set` takes this word in place of a number.
NONE = "none"
# The keys that `list` shows, if no flag says otherwise.
SHOWN = 100


def main(argv: list[str], prog: str = "fluxqueue limits") -> int:
    """Does what the arguments say, prints it and returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value, before anything is changed;
            with 0 after `--help`.
    """
    arguments = _parse(argv, prog)
    act = {"list": _list, "set": _set, "clear": _clear}[arguments.verb]
    verb = f"{prog} {arguments.verb}"
    return run(
        prog, arguments, lambda servers: act(servers.of_queue(arguments.queue), arguments, verb)
    )


def _parse(argv: list[str], prog: str) -> Any:
    parser = parser_of(
        prog,
        "Shows the limits of tasks, and changes them while workers run, for waiting tasks too.",
        "0 if it is done, 1 if the queue does not have the limit or the override",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    shown = verbs.add_parser(
        "list",
        help="show limits and keys",
        description="Shows the limits of a queue as they apply now, and the keys for "
        "which tasks run or wait.",
    )
    shown.add_argument("name", nargs="?", metavar="NAME", help="only the limit of this name")
    shown.add_argument(
        "--keys",
        type=_number(0, MOST_AT_ONCE),
        default=SHOWN,
        metavar="NUMBER",
        help=f"how many keys to show (default: {SHOWN})",
    )
    setting = verbs.add_parser(
        "set",
        help="override a limit",
        description="Overrides the limit in the code of the workers until `clear`. Parts of the "
        "limit that no flag names stay as they are.",
    )
    setting.add_argument("name", metavar="NAME", help="the name of the limit, or of its task")
    setting.add_argument(
        "--concurrency",
        type=_or_none(_number(1, MOST_AT_ONCE)),
        metavar="NUMBER|none",
        help="how many tasks run at once for each key",
    )
    setting.add_argument(
        "--rate", type=_or_none(_rate), metavar="RATE|none", help="such as 25/s, 100/m or 10/30s"
    )
    setting.add_argument(
        "--burst",
        type=_number(1, MOST_AT_ONCE),
        metavar="NUMBER",
        help="how many may begin at once after a quiet time",
    )
    clearing = verbs.add_parser(
        "clear",
        help="end an override",
        description="Ends an override: the limit in the code of the workers applies again.",
    )
    clearing.add_argument("name", metavar="NAME", help="the name of the limit, or of its task")
    for verb in (shown, setting, clearing):
        add_queue(verb)
        add_common(verb)
    arguments = parser.parse_args(argv)
    if arguments.verb == "set" and not any(
        value is not None for value in (arguments.concurrency, arguments.rate, arguments.burst)
    ):
        fail(prog, "set changes nothing; give --concurrency, --rate or --burst")
    return arguments


def _number(least: int, most: int) -> Any:
    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return number

    return read


def _rate(text: str) -> str:
    try:
        read_rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _or_none(read: Any) -> Any:
    """Reads `none` as 0: no limit."""
    return lambda text: 0 if text == NONE else read(text)


def _list(client: RedisClient, arguments: Any, prog: str) -> int:
    from fluxqueue_control.limits import read_keys, read_limit, read_limits

    queue, name = arguments.queue, arguments.name
    limits: dict[str, NamedLimit] = {}
    cursor: int | None = None
    while name is None:
        page = read_limits(client, queue, cursor)
        limits |= {each.name: each for each in page.limits}
        if (cursor := page.cursor) is None:
            break
    if name is not None and (found := read_limit(client, queue, name)) is not None:
        limits[name] = found
    keys: dict[str, LimitedKey] = {}
    is_all = arguments.keys == 0
    while len(keys) < arguments.keys:
        some = read_keys(client, queue, cursor, min(arguments.keys, 1_000), name)
        keys |= {each.digest: each for each in some.keys}
        if (cursor := some.cursor) is None:
            is_all = True
            break
    shown = list(keys.values())[: arguments.keys]
    if name is not None and not limits and not shown:
        say(prog, f"queue {queue!r} has no limit {name!r}")
        return SOME_NOT
    if arguments.json:
        for line in [*map(_limit_json, limits.values()), *map(_key_json, shown)]:
            print_json({"queue": queue, **line})
    else:
        _print_tables(sorted(limits.values(), key=lambda each: each.name), shown)
    if not is_all or len(keys) > len(shown):
        say(prog, f"more keys follow; give --keys a number above {arguments.keys}")
    return DONE


def _print_tables(limits: list[NamedLimit], keys: list[LimitedKey]) -> None:
    rows = [
        (each.name, *_cells(each.rules), "code" if each.override is None else "override")
        for each in limits
    ]
    print_table(("limit", "at once", "rate", "burst", "set by"), rows)
    if rows and keys:
        print()
    longest_first = sorted(keys, key=lambda each: (-each.waiting, each.name or "", each.key))
    cells = [
        (each.name or each.digest, each.key or "-", each.running, each.ready, each.waiting)
        for each in longest_first
    ]
    print_table(("limit", "key", "running", "ready", "waiting"), cells)


def _cells(rules: LimitRules | None) -> tuple[object, ...]:
    if rules is None:
        return ("-", "-", "-")
    burst = rules.given_burst if rules.period else None
    return (rules.most or "-", rules.rate or "-", burst or "-")


def _rules_json(rules: LimitRules | None) -> dict[str, Any] | None:
    if rules is None:
        return None
    return {"concurrency": rules.most or None, "rate": rules.rate, "burst": rules.given_burst}


def _limit_json(limit: NamedLimit) -> dict[str, Any]:
    return {
        "limit": limit.name,
        "rules": _rules_json(limit.rules),
        "code": _rules_json(limit.declared),
        "override": _rules_json(limit.override),
    }


def _key_json(key: LimitedKey) -> dict[str, Any]:
    return {
        "limit": key.name,
        "key": key.key,
        "digest": key.digest,
        "rules": _rules_json(key.rules),
        "running": key.running,
        "ready": key.ready,
        "waiting": key.waiting,
    }


def _set(client: RedisClient, arguments: Any, prog: str) -> int:
    from fluxqueue_control.limits import override

    rules = _rules_now(client, arguments.queue, arguments.name)
    if rules is None:
        say(prog, f"queue {arguments.queue!r} has no limit {arguments.name!r}")
        return SOME_NOT
    new = _changed(rules, arguments.concurrency, arguments.rate, arguments.burst)
    override(client, arguments.queue, arguments.name, new)
    _print_rules(arguments, new)
    return DONE


def _changed(
    rules: LimitRules, concurrency: int | None, rate: str | int | None, burst: int | None
) -> LimitRules:
    """The rules after a change; None changes nothing, and 0 means no limit. A new rate has its own
    burst, unless one is given."""
    most = rules.most if concurrency is None else concurrency
    period, at_once = rules.period, rules.burst
    if rate == 0 or (rate is None and not period):
        period, at_once = 0, burst or at_once
    elif rate is not None or burst is not None:
        period, at_once = read_rate(str(rate or rules.rate), burst)
    return LimitRules(most, period, at_once)


def _rules_now(client: RedisClient, queue: str, name: str) -> LimitRules | None:
    """The rules that count for a limit. None: the queue does not know it."""
    from fluxqueue_control.limits import read_keys, read_limit

    limit = read_limit(client, queue, name)
    if limit is not None:
        return limit.rules
    # No worker declares it, so what its messages say counts.
    cursor: int | None = None
    found: LimitRules | None = None
    while True:
        page = read_keys(client, queue, cursor, 1_000, name)
        for each in page.keys:
            found = each.rules or found or LimitRules()
        if (cursor := page.cursor) is None or found is not None:
            return found


def _clear(client: RedisClient, arguments: Any, prog: str) -> int:
    from fluxqueue_control.limits import clear, read_limit

    if not clear(client, arguments.queue, arguments.name):
        say(prog, f"queue {arguments.queue!r} has no override of a limit {arguments.name!r}")
        return SOME_NOT
    limit = read_limit(client, arguments.queue, arguments.name)
    _print_rules(arguments, None if limit is None else limit.rules)
    return DONE


def _print_rules(arguments: Any, rules: LimitRules | None) -> None:
    if arguments.json:
        rules_json = _rules_json(rules)
        print_json({"queue": arguments.queue, "limit": arguments.name, "rules": rules_json})
    else:
        said = "as its messages say" if rules is None else rules
        print(f"{arguments.name}: {said}")
