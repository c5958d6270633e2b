"""The options and exit codes that the commands of an operator share, and how they print answers."""

from __future__ import annotations

import json
import math
import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fluxqueue_core import Settings
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.service.command_line import Parser, fail, one_line
from fluxqueue_core.service.common_settings import NAMESPACE, REDIS_URL, url_in_use
from fluxqueue_core.service.setting import Setting, text

from .numbers import count, rate

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers

# The exit codes besides USAGE_ERROR. In a shell, 128 + the number of SIGINT is Ctrl+C's.
DONE, SOME_NOT, NO_ANSWER, INTERRUPTED = 0, 1, 3, 130
# Characters of a cell of a table, at most.
_WIDEST = 80

_REDIS_URL = replace(REDIS_URL, help="where Redis is, by default redis://127.0.0.1:6379")
_NAMESPACE = replace(NAMESPACE, help="the namespace of the application, by default none")
_ACTOR: Setting[str | None] = Setting(
    flags=("--actor",),
    env="FLUXQUEUE_ACTOR",
    default=None,
    parse=text,
    metavar="NAME",
    help="the name for the audit of changes; by default USER@HOST of this process",
)
_CODES = "2 for a wrong option, 3 if Redis refuses or does not answer."


def add_common(parser: Parser) -> None:
    """Adds the options that each of the commands has."""
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object per line instead of text"
    )
    add_redis(parser)


def add_redis(parser: Parser) -> None:
    """Adds the options that say where Redis is."""
    parser.add_setting("redis_url", _REDIS_URL)
    parser.add_setting("namespace", _NAMESPACE)
    parser.add_setting("actor", _ACTOR)


def parser_of(prog: str, description: str, codes: str) -> Parser:
    """Returns a parser. `codes` says what the exit codes 0 and 1 mean."""
    return Parser(prog=prog, description=description, epilog=f"Exit code: {codes}, {_CODES}")


def queue_name(text: str) -> str:
    """Reads the name of a queue.

    Raises:
        ArgumentTypeError: no queue can have it.
    """
    from fluxqueue_core import check_queue_name

    try:
        check_queue_name(text)
    except ConfigurationError as error:
        raise ArgumentTypeError(str(error)) from None
    return text


def add_queue(parser: Parser) -> None:
    """Adds the option for a queue."""
    parser.add_argument(
        "-q",
        "--queue",
        type=queue_name,
        default="default",
        metavar="NAME",
        help="the queue (default: default)",
    )


def add_queues(parser: Parser) -> None:
    """Adds the argument for queues."""
    parser.add_argument(
        "queues",
        nargs="*",
        type=queue_name,
        metavar="QUEUE",
        help="a queue (default: all that a worker has served)",
    )


def add_limit(parser: Parser, default: int | None) -> None:
    """Adds the option that says how many tasks to print or to change; None: all."""
    unless_given = "" if default is None else f" (default: {default})"
    parser.add_argument(
        "--limit", type=count, default=default, metavar="N", help=f"at most this many{unless_given}"
    )


def add_rate(parser: Parser) -> None:
    """Adds the option that bounds how many tasks are changed each second."""
    parser.add_argument("--rate", type=rate, metavar="N", help="tasks per second, at most")


def finish_page(
    prog: str, arguments: Any, about: Mapping[str, Any], looked: int, cursor: str | None
) -> None:
    """Says after a page how to get the next one: as the last object of JSON, or on stderr."""
    if arguments.json:
        print_json({**about, "looked": looked, "cursor": cursor})
    elif cursor is not None:
        say(prog, f"there may be more: --cursor {cursor}")


def queues_of(servers: Servers, chosen: Sequence[str]) -> Sequence[str]:
    """Returns the queues that were chosen; if none was, all that a worker has served. Raises as
    `read_names` does."""
    from fluxqueue_control.registry import read_names

    return chosen or read_names(servers.of_registry()).names


def run(prog: str, arguments: Any, act: Callable[[Servers], int]) -> int:
    """Calls `act` with the servers that the arguments name; returns its exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value.
    """
    try:
        settings = Settings(arguments.redis_url, namespace=arguments.namespace)
    except ConfigurationError as error:
        fail(prog, str(error))
    # Imports redis-py, which a wrong flag or --help need not wait for.
    from redis.exceptions import RedisError

    from fluxqueue_control.actor import acting
    from fluxqueue_control.errors import UNAVAILABLE
    from fluxqueue_control.servers import Servers
    from fluxqueue_control.topology import NoCluster

    servers = Servers(settings)
    try:
        with acting(getattr(arguments, "actor", None) or ""):
            return act(servers)
    except ConfigurationError as error:
        fail(prog, str(error))
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has enough. Nothing can be printed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_NOT
    except (RedisError, NoCluster, *UNAVAILABLE) as error:
        say(prog, said_of(error, settings))
        return NO_ANSWER
    except KeyboardInterrupt:
        say(prog, "interrupted; run it again, which does no harm")
        return INTERRUPTED
    finally:
        servers.close()


def said_of(error: BaseException, settings: Settings) -> str:
    """Returns what an error of Redis means, and where Redis is if it refuses the login."""
    from fluxqueue_control.errors import DENIED, described

    whose = f"; {url_in_use(settings.display_url)}" if isinstance(error, DENIED) else ""
    return f"{described(error)}{whose}"


def say(prog: str, message: str) -> None:
    """Prints one line to stderr."""
    print(f"{prog}: {one_line(message)}", file=sys.stderr, flush=True)


def print_json(answer: Mapping[str, Any]) -> None:
    """Prints one object as one line. A number that JSON does not have, such as the infinite one
    that another program has written into Redis, is null."""
    try:
        text = json.dumps(answer, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(answer), allow_nan=False)
    print(text, flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints rows below their heads, and nothing if there are no rows. The last column is as wide
    as it must be."""
    lines = [[_cell(cell) for cell in row] for row in rows]
    if not lines:
        return
    lines.insert(0, [head.upper() for head in heads])
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads) - 1)]
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        print("  ".join([*padded, line[-1]]).rstrip())
    sys.stdout.flush()


def _cell(value: object) -> str:
    text = "-" if value is None else one_line(str(value))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def age(seconds: float) -> str:
    """Returns a time for people, such as `3.2 s` or `5 h`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
