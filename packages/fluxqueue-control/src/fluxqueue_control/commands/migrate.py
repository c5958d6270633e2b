"""`fluxqueue migrate`: moves the tasks of FluxQueue 0.3.2 to this release."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from .answers import DONE, SOME_NOT, add_common, add_rate, parser_of, print_json, queue_name, run
from .progress_bar import ProgressBar

if TYPE_CHECKING:
    from fluxqueue_control.migrating import Migrated
    from fluxqueue_control.servers import Servers


def main(argv: list[str], prog: str = "fluxqueue migrate") -> int:
    """Moves old tasks; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    parser = parser_of(
        prog,
        "Moves the tasks that FluxQueue 0.3.2 has left in this Redis: waiting, failed and dead "
        "ones. Each moves in one step. Stop the old workers first. Run it again after the last old "
        "client has stopped.",
        "0 if there was nothing to move or all was moved, 1 if some tasks stay",
    )
    parser.add_argument(
        "queues", nargs="*", metavar="QUEUE", help="a queue of 0.3.2 (default: all that have tasks)"
    )
    parser.add_argument(
        "--to",
        type=queue_name,
        metavar="NAME",
        help="the queue that gets the tasks (default: the one with the same name)",
    )
    parser.add_argument(
        "--name",
        type=_name,
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="the name of a task in 0.3.2 and in this release; give it again for another task",
    )
    parser.add_argument(
        "--underscores",
        action="store_true",
        help="all other names have underscores in the code, which 0.3.2 has replaced by hyphens",
    )
    parser.add_argument("--dry-run", action="store_true", help="print how many, move none")
    add_rate(parser)
    add_common(parser)
    arguments = parser.parse_args(argv)

    def act(servers: Servers) -> int:
        from fluxqueue_core import Producer, Settings

        from fluxqueue_control import migrating
        from fluxqueue_control.old_messages import Names
        from fluxqueue_control.pacing import keep_rate

        names = Names(dict(arguments.name), arguments.underscores)
        settings = Settings(arguments.redis_url, namespace=arguments.namespace)
        client, producer = servers.of_registry(), Producer(settings)
        code = DONE
        for queue in arguments.queues or migrating.old_queues(client):
            target = arguments.to or queue
            began, found = time.monotonic(), migrating.Migrated()
            steps = migrating.migrate(
                client, producer, queue, target, names=names, dry_run=arguments.dry_run
            )
            with ProgressBar(migrating.count(client, queue), "moved") as bar:
                for found in steps:
                    moved = found.moved.total()
                    bar.update(moved)
                    keep_rate(began, moved, None if arguments.dry_run else arguments.rate)
            show(queue, target, found)
            if found.left:
                code = SOME_NOT
        return code

    def show(queue: str, target: str, found: Migrated) -> None:
        parts = {part: found.moved[part] for part in ("waiting", "delayed", "dead")}
        if arguments.json:
            reasons = [{"part": part, "reason": reason} for part, reason in found.reasons]
            more = {"left": found.left, "gone": found.gone, "reasons": reasons}
            done = not arguments.dry_run
            print_json({"queue": queue, "target": target, **parts, **more, "moved": done})
            return
        verb = "would move" if arguments.dry_run else "moved"
        numbers = ", ".join(f"{count} {part}" for part, count in parts.items())
        print(f"{queue} to {target}: {verb} {numbers}; {found.left} stay", flush=True)
        for part, reason in found.reasons:
            print(f"  a {part} task stays: {reason}", flush=True)

    return run(prog, arguments, act)


def _name(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise ArgumentTypeError(f"{text!r} is not OLD=NEW, such as send-mail=send_mail")
    return old, new
