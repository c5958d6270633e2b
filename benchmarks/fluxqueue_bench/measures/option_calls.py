"""The cost of options for the caller."""

from __future__ import annotations

import json

from fluxqueue_bench.harness import Bench

from .measure import Values

# Calls of one kind in a row.
_CALLS = 200


def of_plain(bench: Bench, rounds: int, *names: str) -> Values:
    """Calls of each name in turns, one at a time: tasks a second, and the part of the plain
    calls' rate. `async` stands for those of `option_calls.ASYNC`."""
    bench.reset()
    module = ("-m", "fluxqueue_bench.option_calls")
    seconds = json.loads(bench.python(*module, str(rounds), str(_CALLS), *names))
    plain = seconds["plain"]
    found = {}
    for name, spent in seconds.items():
        found[f"{name}, tasks/s"] = rounds * _CALLS / spent
        if name != "plain":
            found[f"{name}, of plain"] = plain / spent
    return found


def pinned(bench: Bench, rounds: int, together: bool, *names: str) -> Values:
    """The same, with Redis on one core and the caller on another one, or on the same."""
    with bench.pinned(together=together):
        return of_plain(bench, rounds, *names)
