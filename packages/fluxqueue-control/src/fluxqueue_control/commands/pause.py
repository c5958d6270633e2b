"""`fluxqueue pause`: workers claim nothing from a queue until it is resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from .answers import DONE, add_common, parser_of, print_json, queue_name, run

if TYPE_CHECKING:
    from fluxqueue_control.servers import Servers

_ANSWERS = {
    ("pause", True): "paused",
    ("pause", False): "was paused already",
    ("resume", True): "resumed",
    ("resume", False): "was not paused",
}


def main(argv: list[str], prog: str = "fluxqueue pause") -> int:
    """Pauses queues; returns the exit code."""
    return change(
        argv,
        prog,
        "pause",
        "Pauses queues: workers claim nothing from them. Running tasks continue.",
    )


def change(argv: list[str], prog: str, verb: Literal["pause", "resume"], says: str) -> int:
    """Pauses or resumes queues; returns the exit code.

    Raises:
        SystemExit: with 2 and one line on stderr for a wrong value; with 0 after `--help`.
    """
    state = "already paused" if verb == "pause" else "not paused"
    parser = parser_of(prog, says, f"0, even if it was {state}")
    parser.add_argument(
        "queues", nargs="+", type=queue_name, metavar="QUEUE", help="the name of a queue"
    )
    add_common(parser)
    arguments = parser.parse_args(argv)

    def act(servers: Servers) -> int:
        from fluxqueue_control import pausing

        do = pausing.pause if verb == "pause" else pausing.resume
        for queue in arguments.queues:
            has_changed = do(servers.of_queue(queue), queue)
            if arguments.json:
                print_json({"queue": queue, "paused": verb == "pause", "changed": has_changed})
            else:
                print(f"{queue} {_ANSWERS[verb, has_changed]}", flush=True)
        return DONE

    return run(prog, arguments, act)
