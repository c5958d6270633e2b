"""The day of an operator on a small scale: each verb and each page answers, in small calls, and a
replay that is killed doubles nothing. `scripts/operators-day` measures it with a million tasks."""

from __future__ import annotations

from typing import Any

from fluxqueue_control.servers import Servers
from fluxqueue_core import Settings
from operators_day.bulk import changes
from operators_day.busy import Busy
from operators_day.filling import QUEUE, Numbers, fill
from operators_day.pages import pages
from operators_day.replaying import replay
from operators_day.verbs import verbs

NUMBERS = Numbers(waiting=4_000, dead=1_600, workers=12)
# Calls of a search that looks through what must be looked through, and no further.
FEW = 3


def test_each_verb_and_page_answers_in_small_calls(redis: Any, redis_url: str) -> None:
    fill(redis, redis_url, NUMBERS)
    servers = Servers(Settings(redis_url))
    asked, dashboard = pages(redis_url, NUMBERS)
    told = {**verbs(servers, NUMBERS), **asked, **changes(servers.of_queue(QUEUE), NUMBERS)}
    seen: dict[str, Busy] = {}
    try:
        for name, verb in told.items():
            seen[name] = Busy()
            with seen[name].watching():
                verb()
    finally:
        dashboard.close()
        servers.close()
    assert len([name for name in told if name.startswith("page ")]) > 20
    for name, busy in seen.items():
        # Redis works for each argument: five or fewer of each of 150 tasks, and keys.
        assert max(busy.elements.values(), default=0) <= 800, (name, busy.elements)
        assert sum(busy.calls.values()) <= 4_000, (name, busy.calls)
    for name in ("name", "exception", "exception of none"):
        assert seen[f"search, dead, {name}"].calls.get("search", 0) <= FEW, name
    assert seen["search, dead, exception of none"].calls.get("search", 0) == 0
    assert replay(redis, redis_url, 400)
