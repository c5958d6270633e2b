"""The examples of docs/migrate move to FluxQueue from the real library: no task is lost, and none
runs twice."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from fluxqueue.embedded import EmbeddedRedis
from redis import Redis
from support.distributions import ROOT
from support.moving import EXAMPLES, PEERS, Move
from support.waiting import wait_until

# Seconds from an order to its reminder.
REMIND_AFTER = 5


def both(*orders: int) -> list[str]:
    """The tasks of these orders."""
    return [f"order {order}: {what}" for order in orders for what in ("confirmed", "reminded")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis for both systems: the others leave keys."""
    with EmbeddedRedis(tmp_path / "redis", appendfsync="no") as server:
        yield server


@pytest.mark.parametrize("name", PEERS)
def test_each_task_runs_once_while_an_application_moves(
    name: str, tmp_path: Path, server: EmbeddedRedis
) -> None:
    peer = PEERS[name]
    variables = {"REMIND_AFTER": str(REMIND_AFTER)}
    with Redis.from_url(server.url) as redis, Move(name, tmp_path, server.url, variables) as move:
        # The application as it was.
        old = move.start("before", peer.worker, "old")
        clock = move.start("before", peer.clock, "clock") if peer.clock else old
        move.place("before", 1, 2)
        old.wait_for("order 1: confirmed", "order 2: confirmed", "stock counted")
        # FluxQueue's workers start beside the old ones. Before MOVE_AT, the clock ends.
        move.moves_at(int(time.time()) + 3_600)
        move.start_scheduler()
        new = move.start("during", "python -m fluxqueue_worker -t flux_tasks", "new")
        new.wait_for("worker.connected")
        clock.stop()
        if peer.clock and peer.clock_delays:
            move.start("during", peer.clock, "clock")
        # The old workers get the new code, as in every deployment. Meanwhile a task waits.
        wait_until(lambda: peer.ready(redis) == 0, what="an idle worker")
        if clock is not old:
            old.stop()
        # The switch is on: FluxQueue runs new calls, and the old queue has what is delayed there.
        move.place("during", 3, to="fluxqueue")
        new.wait_for("order 3: confirmed")
        # The switch is off again. The old workers have the new code.
        move.place("during", 4)
        old = move.start("during", peer.worker, "old")
        wait_until(lambda: peer.delayed(redis) + peer.ready(redis) == 0, what="an empty queue")
        old.stop()
        # Nothing of the old system is left. The test does not wait an hour for MOVE_AT.
        new.stop()
        assert move.counts("new") == []
        moves_at = int(time.time()) + 1
        move.moves_at(moves_at)
        new = move.start("after", "python -m fluxqueue_worker -t tasks", "new")
        move.place("after", 5)
        new.wait_for(*both(3, 5), "stock counted")
        assert move.runs("old") == both(1, 2, 4)
        assert move.runs("new") == both(3, 5)
        assert max(move.counts("old")) < moves_at <= min(move.counts("new"))


@pytest.mark.parametrize("name", PEERS)
def test_a_page_shows_the_code_of_its_example(name: str) -> None:
    page = (ROOT / f"docs/migrate/from-{name}.md").read_text()
    blocks = re.findall(r"^ *```python\n(.*?)\n *```$", page, re.MULTILINE | re.DOTALL)
    files = [file.read_text() for file in (EXAMPLES / name).glob("during/*.py")]
    assert len(blocks) == 2
    for block in blocks:
        assert any(dedent(block) in text for text in files), block
