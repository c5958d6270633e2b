"""Messages with options (version 2) in the scripts, and in a worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.scripts import Outcome, Scripts, field, message
from support.waiting import wait_until
from support.worker_process import WorkerProcess

pytestmark = pytest.mark.versions

OPTIONS = '{"p":5}'
REASON = b'{"reason":"failed","error":"e"}'


def test_they_are_claimed_and_adopted_beside_plain_ones(scripts: Scripts) -> None:
    plain, first, second = message(1), message(2, opts=OPTIONS), message(3, opts="{}", retries=2)
    scripts.open("c")
    scripts.enqueue(first, plain, second)
    scripts.block("c")
    reply = scripts.exchange("c", 10)
    assert reply.claimed == [plain, second]
    assert scripts.held("c") == {field(m): m for m in (plain, first, second)}


def test_a_success_is_an_outcome_like_others(scripts: Scripts) -> None:
    held = message(1, opts=OPTIONS)
    scripts.claim("c", held)
    for _ in range(2):  # the second does nothing
        reply = scripts.exchange("c", outcomes=[Outcome(field(held), "done")])
        assert (reply.claimed, reply.parked) == ([], [])
        assert scripts.held("c") == {} and scripts.stats() == {"succeeded": 1}
    assert scripts.dead() == {}


def test_a_success_beside_plain_ones_is_counted_once(scripts: Scripts) -> None:
    plain, other = message(1), message(2, opts=OPTIONS)
    scripts.claim("c", plain, other)
    done = Outcome(field(other), "done")
    scripts.exchange("c", succeeded=[field(plain)], outcomes=[done])
    assert scripts.held("c") == {} and scripts.stats() == {"succeeded": 2}


@pytest.mark.parametrize(("deliveries", "home"), [(1, "pending"), (2, "suspects")])
def test_a_release_returns_it_to_the_list_of_its_losses(
    scripts: Scripts, deliveries: int, home: str
) -> None:
    # Rule 12.
    held = message(1, opts=OPTIONS, deliveries=deliveries)
    scripts.claim("c", held)
    scripts.exchange("c", outcomes=[Outcome(field(held), "release")])
    assert scripts.list(home) == [held] and scripts.held("c") == {}


def test_a_retry_and_a_death_keep_its_options(scripts: Scripts) -> None:
    retried, dead = message(1, opts=OPTIONS), message(2, opts=OPTIONS)
    scripts.claim("c", retried, dead)
    again = message(1, opts=OPTIONS, retries=1)
    outcomes = [
        Outcome(field(retried), "retry", again, "5"),
        Outcome(field(dead), "dead", REASON),
    ]
    scripts.exchange("c", outcomes=outcomes)
    assert list(scripts.delayed()) == [again]
    assert scripts.dead() == {field(dead): (dead, REASON)}


def test_a_message_of_version_2_without_options_is_malformed(scripts: Scripts) -> None:
    odd = message(1).replace(b'{"v":1,', b'{"v":2,')
    scripts.open("c")
    scripts.enqueue(odd)
    reply = scripts.exchange("c", 1)
    assert len(reply.parked) == 1 and reply.claimed == []
    [(kept, reason)] = scripts.dead().values()
    assert kept == odd and b'"malformed"' in reason


APP = """
@fluxqueue.task()
def work(number):
    note(number)

@fluxqueue.task(max_retries=0)
def fail(number):
    raise ValueError(number)
"""


def test_a_worker_runs_and_settles_them(scripts: Scripts, redis_url: str, tmp_path: Path) -> None:
    with WorkerProcess(tmp_path, redis_url, APP) as worker:
        of_default = Scripts(scripts.redis, "default")
        plain = message(1, name="work", args=b"[1]")
        good = message(2, name="work", args=b"[2]", opts=OPTIONS)
        bad = message(3, name="fail", args=b"[3]", opts=OPTIONS).replace(
            b'"args":[3]', b'"args":[3],"max_retries":0'
        )
        of_default.enqueue(plain, good, bad)
        wait_until(lambda: of_default.stats() == {"succeeded": 2, "dead": 1}, what=worker.output)
        assert sorted(worker.notes()) == ["1", "2"]
        assert [kept for kept, _ in of_default.dead().values()] == [bad]
        assert worker.stop() == 0
