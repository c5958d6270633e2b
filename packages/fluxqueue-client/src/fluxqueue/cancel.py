"""`fluxqueue cancel`: cancels tasks by their ids, from a terminal or a script."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fluxqueue_core.errors import BrokerError, ConfigurationError
from fluxqueue_core.service.command_line import Parser, fail, one_line
from fluxqueue_core.service.common_settings import NAMESPACE, REDIS_URL, url_in_use

if TYPE_CHECKING:
    from .handle import CancelVerdict, TaskHandle

# The exit codes besides USAGE_ERROR. In a shell, 128 + the number of SIGINT is Ctrl+C's.
ALL_CANCELLED, SOME_DONE, NO_ANSWER, INTERRUPTED = 0, 1, 3, 130

_REDIS_URL = replace(REDIS_URL, help="where Redis is, by default redis://127.0.0.1:6379")
_NAMESPACE = replace(NAMESPACE, help="the namespace of the application, by default none")


def main(argv: list[str], prog: str = "fluxqueue cancel") -> int:
    """Cancels each of the tasks, prints the answers and returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value, before it cancels any
            task; with 0 after `--help`.
    """
    arguments = _parse(argv, prog)
    # Imports orjson and more, which a wrong flag or --help need not wait for.
    from .client import FluxQueue

    try:
        client = FluxQueue(arguments.redis_url, namespace=arguments.namespace)
        handles = [client.handle(text, queue=arguments.queue) for text in arguments.ids]
    except ConfigurationError as error:
        fail(prog, str(error))
    missing = 0
    for position, (text, handle) in enumerate(zip(arguments.ids, handles, strict=True)):
        try:
            verdict = handle.cancel()
        except BrokerError as error:
            where = url_in_use(client.settings.display_url)
            _say(prog, f"{error}{_not_asked(len(handles) - position - 1)}; {where}")
            return NO_ANSWER
        except KeyboardInterrupt:
            _say(prog, f"interrupted at task {handle.id}; cancel it again, which does no harm")
            return INTERRUPTED
        # At once: another answer may take seconds.
        print(_line(text, handle, verdict, arguments.json), flush=True)
        missing += verdict == "already_done"
    if not missing:
        return ALL_CANCELLED
    _say(
        prog,
        f"queue {arguments.queue!r} does not have {missing} of {len(handles)} tasks: they have "
        f"ended, or are in another queue (-q) or namespace (--namespace)",
    )
    return SOME_DONE


def _parse(argv: list[str], prog: str) -> Any:
    parser = Parser(
        prog=prog,
        description="Cancels tasks. Prints a line for each: its id and the answer. `cancelled`: "
        "it will not begin; `requested`: the worker that has it, or claims it, ends it; "
        "`already_done`: the queue does not have it.",
        epilog="Exit code: 0 if all are cancelled or requested, 1 if the queue does not have one "
        "of them, 2 for a wrong option or id (then no task is cancelled), 3 if Redis refuses or "
        "does not answer.",
    )
    parser.add_argument(
        "ids", nargs="+", metavar="ID", help="a task's id, or the text that was its task_id"
    )
    parser.add_argument(
        "-q",
        "--queue",
        default="default",
        metavar="NAME",
        help="the queue of the tasks (default: default)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object per line instead of text"
    )
    parser.add_setting("redis_url", _REDIS_URL)
    parser.add_setting("namespace", _NAMESPACE)
    return parser.parse_args(argv)


def _line(text: str, handle: TaskHandle[Any], verdict: CancelVerdict, as_json: bool) -> str:
    """Returns the line about one task, of which the caller gave this text."""
    if as_json:
        import json

        answer = {"task_id": handle.id, "queue": handle.queue, "answer": verdict, "given": text}
        return json.dumps(answer)
    # The text comes last, because it may have spaces.
    given = "" if text.lower() == handle.id else f" {one_line(text)}"
    return f"{handle.id} {verdict}{given}"


def _not_asked(count: int) -> str:
    return f"; of the tasks after it, {count} are not cancelled" if count else ""


def _say(prog: str, message: str) -> None:
    print(f"{prog}: {one_line(message)}", file=sys.stderr, flush=True)
