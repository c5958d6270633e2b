"""Changes of many tasks, as functions: each makes some calls of a purge, a job or a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from fluxqueue_control import candidates, job_steps, jobs, purge
from fluxqueue_control.jobs import Selection
from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_scheduler.trim import LIMIT
from support.scripts import DAY

from .filling import QUEUE, Numbers, tenant

# Calls of a change: the first ones are small.
_CALLS = 3
EVERY = Selection()


def changes(client: RedisClient, numbers: Numbers) -> dict[str, Callable[[], Any]]:
    """The changes, in the order in which they are measured."""

    def some(steps: Iterable[Any]) -> None:
        assert list(islice(steps, _CALLS))

    def job(verb: Any, place: Any, selection: Selection = EVERY, **rest: Any) -> Callable[[], None]:
        def run() -> None:
            one = jobs.start(client, QUEUE, verb, place, selection, limit=100, **rest)
            some(jobs.run(lambda: client, QUEUE, one))

        return run

    def deep(verb: Any, **rest: Any) -> Callable[[], None]:
        """Changes tasks as far from an end of the list as a job can."""

        def run() -> None:
            one = jobs.start(client, QUEUE, verb, "waiting", **rest)
            at = min(candidates.REACH - 2_000, numbers.waiting // 3)
            page = candidates.read_page(client, QUEUE, "waiting", f"pending {at}")
            batch = job_steps.batches(page.candidates, 75)[0]
            assert {*job_steps.apply(client, QUEUE, one, batch)} == {"done"}

        return run

    def trim() -> None:
        there = client.command("ZCARD", client.key("dead", QUEUE))
        keep = max(there - LIMIT, there * 9 // 10)
        words = (keep, DAY, LIMIT)
        assert client.call(ScriptCall("trim_dead", QUEUE, words)) == there - keep

    return {
        "job, replay dead": job("replay", "dead"),
        "job, delete dead": job("delete", "dead"),
        "job, move dead": job("move", "dead", target="others"),
        "job, replay delayed": job("replay", "delayed"),
        "job, cancel at work": job("cancel", "running"),
        "job, delete waiting, the next ones": job("delete", "waiting"),
        "job, cancel waiting, by a header": job(
            "cancel", "waiting", Selection(headers={"tenant": tenant(7)})
        ),
        "job, delete dead, by the beginning of an id": job("delete", "dead", Selection(id="0*")),
        "job, delete waiting, deep": deep("delete"),
        "job, move waiting, deep": deep("move", target="others"),
        "purge dead": lambda: some(purge.purge(client, QUEUE, "dead")),
        "purge waiting": lambda: some(purge.purge(client, QUEUE, "waiting")),
        "trim dead, by a scheduler": trim,
    }
