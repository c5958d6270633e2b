"""All scripts against a small model in Python, in any order of calls.

The model holds what each key should hold. Whatever the order, every message
that was enqueued is in exactly one place until it is settled.
"""

from __future__ import annotations

import re
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


def priority_of(of: bytes) -> int:
    found = re.search(rb'"opts":{"p":(\d)}', of)
    return int(found[1]) if found else 0


def retried(of: bytes) -> bytes:
    """The message after one more failure."""
    for count in range(20, 0, -1):
        if b',"retries":%d,' % count in of:
            return of.replace(b',"retries":%d,' % count, b',"retries":%d,' % (count + 1))
    at = b',"opts"' if priority_of(of) else b',"name"'
    return of.replace(at, b',"retries":1' + at, 1)


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
        self.prioritized: list[bytes] = []
        self.due: list[bytes] = []
        self.dead: list[bytes] = []
        self.settled: list[bytes] = []
        for _ in range(2):
            self.open(set(), set(), 1)
            self.enqueue(4, 0)

    def consumer(self, number: int) -> str:
        return list(self.state)[-1 - number % len(self.state)]

    def has_ranked_head(self) -> bool:
        return any(priority_of(of) for of in self.lists["pending"][:1])

    def rank(self, of: bytes) -> None:
        self.prioritized.append(of)
        # All ids have the same time.
        self.prioritized.sort(key=lambda of: (-priority_of(of), of))

    def return_head(self) -> None:
        if self.has_ranked_head():
            self.rank(self.lists["pending"].pop(0))

    def guard(self) -> None:
        if self.prioritized and not self.has_ranked_head():
            self.lists["pending"].insert(0, self.prioritized.pop(0))

    def arrive(self, of: bytes) -> None:
        """To the front, or by its priority. The guard of the queue is kept."""
        if deliveries_of(of) >= 2:
            self.lists["suspects"].insert(0, of)
            return
        if not priority_of(of):
            self.return_head()
        if priority_of(of) and self.has_ranked_head():
            self.rank(of)
        else:
            self.lists["pending"].insert(0, of)

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

    @rule(priorities=st.lists(st.integers(1, 9), min_size=1, max_size=4))
    def enqueue_ranked(self, priorities: list[int]) -> None:
        batch = []
        for priority in priorities:
            self.number += 1
            batch.append(message(self.number, opts=f'{{"p":{priority}}}'))
        self.scripts.enqueue_ranked(*batch)
        best = priorities.index(max(priorities))
        for of in [batch[best], *batch[:best], *batch[best + 1 :]]:
            self.arrive(of)

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
                    self.arrive(of)
            self.held[ended], self.inbox[ended] = {}, []
            self.state[ended] = TOMBSTONE
        self.guard()
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
        held = self.held[consumer]
        succeeded = [f for f, end in chosen if end == "ok" and not priority_of(held[f])]
        outcomes = []
        for f, end in chosen:
            of = held[f]
            if end == "ok" and priority_of(of):
                outcomes.append(Outcome(f, "done"))
            elif end == "retry":
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
            elif outcome.kind == "done":
                self.settled.append(of)
            else:
                self.arrive(of)
        assert reply.told.get("suspects", 0) == len(self.lists["suspects"])
        has_ranked = bool(self.prioritized)
        waiting, ranked = self.lists["suspects" if lane else "pending"], self.prioritized
        if has_ranked and limit and not lane:
            self.return_head()
            waiting[:0], ranked[:limit] = ranked[:limit], []
        taken, waiting[:] = waiting[:limit], waiting[limit:]
        assert reply.claimed == taken
        if has_ranked:
            self.guard()
        held |= {field(of): of for of in taken}

    # Schedulers.

    @rule()
    def promote(self) -> None:
        moved, _ = self.scripts.promote()
        assert moved == len(self.due)
        ranked = [of for of in self.due if priority_of(of) and deliveries_of(of) < 2]
        # Several due in one millisecond come in any order: any of these was the first.
        first = self.scripts.list("pending")[:1]
        for of in sorted(ranked, key=lambda of: of not in first):
            self.arrive(of)
        self.guard()
        for kind, waiting in self.lists.items():
            new = self.scripts.list(kind)[len(waiting) :]
            mine = [of for of in self.due if (deliveries_of(of) >= 2) == (kind == "suspects")]
            assert sorted(new) == sorted(of for of in mine if of not in ranked)
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
                self.arrive(raised)
                if deliveries_of(raised) < 2:
                    self.guard()

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
            self.arrive(of)
        if any(deliveries_of(of) < 2 for of in inbox):
            self.guard()
        self.inbox[consumer] = []

    # Redis and the model hold the same.

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "scripts"):
            return
        scripts = self.scripts
        for kind, waiting in self.lists.items():
            assert scripts.list(kind) == waiting
        assert self.redis.zrange(scripts.key("prioritized"), 0, -1) == self.prioritized
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
        places = [
            *self.lists.values(),
            self.prioritized,
            self.due,
            self.dead,
            self.settled,
            *self.inbox.values(),
        ]
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
