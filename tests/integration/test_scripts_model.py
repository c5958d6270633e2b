"""All scripts against a small model in Python, in any order of calls.

The model holds what each key should hold. Whatever the order, every message
that was enqueued is in exactly one place until it is settled.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from fluxqueue_core import raise_deliveries
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from support.scripts import LEASE, Outcome, Scripts, field, message

DELIVERIES = 3
ENDS = ["ok", "retry", "dead", "release", "still running"]
# Which consumer, counted from the youngest.
ids = st.integers(0, 4)
ALIVE, LATE, TOMBSTONE = "alive", "late", "tombstone"


def deliveries_of(of: bytes) -> int:
    for count in (1, 2):
        if b'","deliveries":%d,' % count in of:
            return count
    return 0


def retried(of: bytes) -> bytes:
    """The message after one more failure."""
    for count in range(20, 0, -1):
        if b',"retries":%d,' % count in of:
            return of.replace(b',"retries":%d,' % count, b',"retries":%d,' % (count + 1))
    return of.replace(b',"name"', b',"retries":1,"name"', 1)


class ScriptsAndModel(RuleBasedStateMachine):
    redis: Any

    @initialize()
    def begin(self) -> None:
        self.redis.flushdb()
        self.scripts = Scripts(self.redis)
        self.number = 0
        self.state: dict[str, str] = {}
        self.held: dict[str, dict[bytes, bytes]] = {}
        self.inbox: dict[str, list[bytes]] = {}
        # In the order in which they are taken.
        self.lists: dict[str, list[bytes]] = {"pending": [], "suspects": []}
        self.due: list[bytes] = []
        self.dead: list[bytes] = []
        self.settled: list[bytes] = []
        for _ in range(2):
            self.open(set(), set(), 1)
            self.enqueue(4, 0)

    def consumer(self, number: int) -> str:
        return list(self.state)[-1 - number % len(self.state)]

    def send_home(self, of: bytes) -> None:
        kind = "suspects" if deliveries_of(of) >= 2 else "pending"
        self.lists[kind].insert(0, of)

    def holding(self, consumer: str) -> list[bytes]:
        return sorted(self.held.get(consumer, {}))

    # Clients, time.

    @rule(count=st.integers(1, 4), losses=st.integers(0, 2))
    def enqueue(self, count: int, losses: int) -> None:
        for _ in range(count):
            self.number += 1
            of = message(self.number, deliveries=losses)
            self.scripts.enqueue(of)
            self.lists["pending"].append(of)

    @rule(number=ids)
    def end_lease(self, number: int) -> None:
        consumer = self.consumer(number)
        if self.state[consumer] != TOMBSTONE:
            self.scripts.end_lease(consumer)
            self.state[consumer] = LATE

    # Workers.

    @rule(
        old=st.sets(ids, max_size=2),
        kept=st.sets(st.integers(0, 5)),
        refused=st.integers(0, 9),
    )
    def open(self, old: set[int], kept: set[int], refused: int) -> None:
        olds = sorted({self.consumer(n) for n in old})
        if refused == 0:
            assert self.scripts.open(self.consumer(0), olds) is None
            return
        new = f"c{len(self.state)}"
        fields = [f for name in olds for f in self.holding(name)]
        keep = [f for n, f in enumerate(fields) if n in kept]
        reply = self.scripts.open(new, olds, keep)
        assert reply is not None
        self.held[new], self.inbox[new] = {}, []
        for ended in olds:
            if self.state[ended] == TOMBSTONE:
                continue
            mine = [*self.held[ended].values(), *self.inbox[ended]]
            for of in sorted(mine, reverse=True):
                if field(of) in keep:
                    self.held[new][field(of)] = of
                else:
                    self.send_home(of)
            self.held[ended], self.inbox[ended] = {}, []
            self.state[ended] = TOMBSTONE
        assert sorted(reply) == sorted(self.held[new])
        self.state[new] = ALIVE

    @rule(number=ids, lane=st.booleans())
    def block(self, number: int, lane: bool) -> None:
        consumer = self.consumer(number)
        kind = "suspects" if lane else "pending"
        waiting = self.lists[kind]
        expected = waiting.pop(0) if waiting else None
        assert self.scripts.block(consumer, kind) == expected
        if expected is not None:
            self.inbox[consumer].insert(0, expected)

    @rule(
        number=ids,
        limit=st.integers(0, 4),
        lane=st.booleans(),
        ends=st.lists(st.sampled_from(ENDS), min_size=2, max_size=6),
    )
    def exchange(self, number: int, limit: int, lane: bool, ends: list[str]) -> None:
        consumer = self.consumer(number)
        chosen = list(zip(self.holding(consumer), ends, strict=False))
        succeeded = [f for f, end in chosen if end == "ok"]
        outcomes = []
        for f, end in chosen:
            of = self.held[consumer][f]
            if end == "retry":
                outcomes.append(Outcome(f, "retry", retried(of), "0"))
            elif end == "dead":
                outcomes.append(Outcome(f, end, b"{}"))
            elif end == "release":
                outcomes.append(Outcome(f, end, b""))
        reply = self.scripts.try_exchange(
            consumer,
            limit,
            succeeded=succeeded,
            outcomes=outcomes,
            source="suspects" if lane else "pending",
            lease=LEASE,
        )
        if self.state[consumer] == TOMBSTONE:
            assert reply is None
            return
        assert reply is not None and reply.parked == []
        self.state[consumer] = ALIVE
        held = self.held[consumer]
        held |= {field(of): of for of in self.inbox[consumer]}
        self.inbox[consumer] = []
        for f in succeeded:
            self.settled.append(held.pop(f))
        for outcome in outcomes:
            of = held.pop(outcome.field)
            if outcome.kind == "retry":
                self.due.append(outcome.payload)
            elif outcome.kind == "dead":
                self.dead.append(of)
            else:
                self.send_home(of)
        assert reply.told.get("suspects", 0) == len(self.lists["suspects"])
        waiting = self.lists["suspects" if lane else "pending"]
        taken, waiting[:] = waiting[:limit], waiting[limit:]
        assert reply.claimed == taken
        held |= {field(of): of for of in taken}

    # Schedulers.

    @rule()
    def promote(self) -> None:
        moved, _ = self.scripts.promote()
        assert moved == len(self.due)
        for kind, waiting in self.lists.items():
            # Several due in one millisecond come in any order.
            new = self.scripts.list(kind)[len(waiting) :]
            mine = [of for of in self.due if (deliveries_of(of) >= 2) == (kind == "suspects")]
            assert sorted(new) == sorted(mine)
            waiting += new
        self.due = []

    @rule(
        number=ids,
        lost=st.booleans(),
        limit=st.integers(1, 3),
        moved=st.integers(0, 5),
        swept=st.sampled_from([True, True, False]),
    )
    def rescue(self, number: int, lost: bool, limit: int, moved: int, swept: bool) -> None:
        """As a scheduler that may stop after any number of messages."""
        consumer = self.consumer(number)
        if lost:
            self.end_lease(number)
        if swept:
            self.scripts.be_swept()
        else:
            self.redis.delete(self.scripts.key("sweep"))
        buried = self.scripts.bury(consumer, limit=limit)
        if self.state[consumer] == LATE and swept:
            self.state[consumer] = TOMBSTONE
            self.held[consumer] |= {field(of): of for of in self.inbox[consumer]}
            self.inbox[consumer] = []
        if self.state[consumer] != TOMBSTONE:
            assert buried == {}
            return
        assert bool(buried) == bool(self.held[consumer])
        assert buried.items() <= self.held[consumer].items()
        for f, of in list(buried.items())[:moved]:
            _, raised, is_dead = raise_deliveries(of, DELIVERIES)
            move = f, "dead" if is_dead else "home", raised, b"{}"
            assert self.scripts.move(consumer, move) == ([0, 1] if is_dead else [1, 0])
            assert self.scripts.move(consumer, move) == [0, 0], "moved twice"
            del self.held[consumer][f]
            if is_dead:
                self.dead.append(raised)
            else:
                self.send_home(raised)

    @rule(number=ids)
    def reclaim(self, number: int) -> None:
        consumer = self.consumer(number)
        inbox = self.inbox[consumer]
        returned = self.scripts.reclaim(consumer)
        if self.state[consumer] != TOMBSTONE:
            assert returned == -1
            return
        assert returned == len(inbox)
        for of in inbox:
            self.send_home(of)
        self.inbox[consumer] = []

    # Redis and the model hold the same.

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "scripts"):
            return
        scripts = self.scripts
        for kind, waiting in self.lists.items():
            assert scripts.list(kind) == waiting
        assert sorted(scripts.delayed()) == sorted(self.due)
        assert sorted(kept for kept, _ in scripts.dead().values()) == sorted(self.dead)
        for consumer, state in self.state.items():
            assert scripts.held(consumer) == self.held[consumer]
            assert scripts.list("inbox", consumer) == self.inbox[consumer][::-1]
            assert scripts.is_tombstone(consumer) == (state == TOMBSTONE)

    @invariant()
    def every_message_is_in_one_place(self) -> None:
        if not hasattr(self, "scripts"):
            return
        places = [*self.lists.values(), self.due, self.dead, self.settled, *self.inbox.values()]
        places += [list(held.values()) for held in self.held.values()]
        ids = Counter(of[13:49] for place in places for of in place)
        assert len(ids) == self.number and set(ids.values()) <= {1}


@pytest.mark.timeout(300)
def test_the_scripts_agree_with_the_model(redis: Any) -> None:
    class OnThisRedis(ScriptsAndModel):
        pass

    OnThisRedis.redis = redis
    run_state_machine_as_test(
        OnThisRedis,
        settings=settings(
            max_examples=100,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
