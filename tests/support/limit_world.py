"""A randomized checker of the limits in all scripts, on a real Redis.

Callers, workers, schedulers and an operator are state machines; each step executes one script,
loses one reply, or moves the time. The time is a key of Redis, so a seed gives the same run again.
`limit_audit` says what must hold after each step.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from fluxqueue_core import message_field, raise_deliveries

from .fake_clock import FakeClock
from .limit_audit import Audit, Violation, id_of, limit_of
from .scripts import Outcome, message

LEASE, GAP = 3_000, 750
DEAD = b'{"reason":"failed","error":"e"}'
LOST = b'{"reason":"worker_lost","error":"e"}'


@dataclass(frozen=True)
class Numbers:
    """The numbers of a limit: the most at once, µs between two, the burst."""

    most: int
    period: int = 0
    burst: int = 1

    def __str__(self) -> str:
        return f"{self.most}:{self.period}:{self.burst}"


def digest(name: str, key: int = 0) -> str:
    """The digest of a key of a limit, whose name is one hexadecimal digit."""
    return name * 16 + f"{key:016x}"


# By name. The operator changes those of `c`.
LIMITS = {
    "a": Numbers(1),
    "b": Numbers(2),
    "c": Numbers(2),
    "d": Numbers(0, 700_000, 2),
    "e": Numbers(2, 500_000, 1),
}


@dataclass
class Held:
    """A message that a worker holds."""

    raw: bytes
    at: int
    begun: bool = False
    outcome: Outcome | None = None
    is_cancelled: bool = False


@dataclass
class Worker:
    """A worker process."""

    id: str
    slots: int
    is_lane: bool = False
    is_ready: bool = False
    # A BLMOVE has brought something for which an exchange must follow at once.
    hurries: bool = False
    olds: list[str] = field(default_factory=list)
    held: dict[bytes, Held] = field(default_factory=dict)

    def free(self) -> int:
        return self.slots - len(self.held)


class World:
    """See the module's text."""

    def __init__(self, redis: Any, seed: int, mutant: tuple[str, str] | None = None) -> None:
        self.chance = random.Random(seed)
        self.redis = redis
        self.scripts = FakeClock(redis, mutant)
        self.counts: Counter[str] = Counter()
        self.has_faults = True
        # Whether an operator pauses the queue now and then.
        self.pauses = seed % 3 == 2
        self.number = 0
        self.limits = dict(LIMITS)
        self.audit = Audit(self)
        self.scripts.audit, self.scripts.look = self.audit.script, self.audit.judge
        # The tasks that were enqueued, by id.
        self.tasks: dict[bytes, bytes] = {}
        self.cancelled: set[bytes] = set()
        # Per digest: when tasks were handed out that began.
        self.begun: dict[str, list[int]] = defaultdict(list)
        self.rescues: list[tuple[str, dict[bytes, bytes]]] = []
        # BLMOVEs of closed connections, which Redis may still execute.
        self.late: list[tuple[str, str]] = []
        self.workers = [self.new_worker() for _ in range(self.chance.choice([1, 2, 3]))]
        self.lane = self.new_worker(is_lane=True)
        self.scripts.sweep(GAP, LEASE)
        if seed % 2:
            # Workers declare what the messages say, so that a rule applies to each line.
            rules = [part for name, of in LIMITS.items() for part in (name * 16, f"{of} {name}")]
            self.scripts.call("limit_rules", ["declare", 0, *rules])

    def new_worker(self, *, is_lane: bool = False) -> Worker:
        slots = 1 if is_lane else self.chance.choice([1, 2, 3])
        return Worker(self.new_id(), slots, is_lane)

    def new_id(self) -> str:
        self.number += 1
        return f"c{self.number}"

    # Callers and the operator.

    def enqueue(self) -> None:
        calls = []
        for _ in range(self.chance.choice([1, 1, 1, 2, 5])):
            self.number += 1
            name = self.chance.choice(list(LIMITS))
            key = digest(name, self.chance.choice([0, 0, 0, 1]))
            options = [f'"l":"{key}:{LIMITS[name]}"']
            if self.chance.random() < 0.2:
                options.insert(0, f'"x":{self.scripts.now() + self.chance.choice([100, 2_000])}')
            if self.chance.random() < 0.3:
                options.insert(0, f'"p":{self.chance.choice([3, 7])}')
            is_plain = self.chance.random() < 0.1
            raw = message(self.number, opts="" if is_plain else "{" + ",".join(options) + "}")
            delay = self.chance.choice([0, 0, 0, 0, 50, 1_000])
            text = "" if is_plain else f" limit 3 {name} {key[-1]}"
            calls.append((f"+{delay}{text}", raw))
            self.tasks[id_of(raw)] = raw
            if not delay and not is_plain:
                self.audit.arrived(raw)
        assert self.scripts.enqueue_unique(*calls) == [None] * len(calls)
        self.counts["enqueued"] += len(calls)

    def cancel(self) -> None:
        if self.tasks:
            task = self.chance.choice(list(self.tasks))
            verdict = self.scripts.cancel(self.tasks[task])
            if (verdict == "already_done") != (task not in self.audit.where):
                raise Violation(f"{task!r} is {verdict}, and is in {self.audit.where.get(task)}")
            if verdict != "already_done":
                self.cancelled.add(task)
            self.counts[f"cancel: {verdict}"] += 1

    def change_rule(self) -> None:
        name = "c" * 16
        if self.chance.random() < 0.5:
            self.limits["c"] = Numbers(self.chance.choice([1, 2, 3]))
            self.scripts.call("limit_rules", ["set", name, f"{self.limits['c']} c"])
        else:
            self.limits["c"] = LIMITS["c"]
            self.scripts.call("limit_rules", ["clear", name])
        self.counts["rules changed"] += 1

    def pause(self) -> None:
        self.redis.set(self.scripts.key("paused"), 1)
        self.counts["pauses"] += 1

    def resume(self) -> None:
        self.redis.delete(self.scripts.key("paused"))

    # Workers.

    def fails(self, share: float) -> bool:
        return self.has_faults and self.chance.random() < share

    def break_connection(self, worker: Worker) -> None:
        """Its requests under way are lost, or executed late."""
        if worker.is_ready:
            worker.olds.append(worker.id)
            self.leave_behind(worker)
        worker.id, worker.is_ready, worker.hurries = self.new_id(), False, False
        self.counts["breaks"] += 1

    def leave_behind(self, worker: Worker) -> None:
        """Redis may still execute a BLMOVE of its connection."""
        if worker.is_ready and self.has_faults:
            self.late.append((worker.id, "suspects" if worker.is_lane else "pending"))

    def kill(self, worker: Worker) -> None:
        self.leave_behind(worker)
        self.counts["kills"] += 1
        if worker.is_lane:
            self.lane = self.new_worker(is_lane=True)
        else:
            self.workers[self.workers.index(worker)] = self.new_worker()

    def drain(self, worker: Worker) -> None:
        """It keeps what runs, and gives the rest back."""
        worker.held = {f: held for f, held in worker.held.items() if held.begun}
        self.break_connection(worker)
        self.counts["drains"] += 1

    def open(self, worker: Worker) -> None:
        fields = self.scripts.open(worker.id, worker.olds, list(worker.held), LEASE)
        if self.fails(0.1) or fields is None:
            # It has a lease and perhaps messages, and the worker does not know.
            worker.olds.append(worker.id)
            worker.id = self.new_id()
            return
        worker.is_ready, worker.olds = True, []
        worker.held = {f: held for f, held in worker.held.items() if f in fields}

    def exchange(self, worker: Worker) -> None:
        settled = [held for held in worker.held.values() if held.outcome]
        limit = max(worker.free() + self.chance.choice([0, 0, 1]), 0)
        plain = [held.outcome.field for held in settled if held.outcome and not held.outcome.kind]
        others = [held.outcome for held in settled if held.outcome and held.outcome.kind]
        if self.fails(0.02):
            self.break_connection(worker)
            return
        reply = self.scripts.try_exchange(
            worker.id,
            limit,
            succeeded=plain,
            outcomes=others,
            lease=LEASE,
            source="suspects" if worker.is_lane else "pending",
        )
        self.audit.claimed(reply.claimed if reply else [])
        if reply and reply.claimed and self.redis.exists(self.scripts.key("paused")):
            raise Violation(f"a paused queue has handed out {reply.claimed}")
        if self.fails(0.03):
            self.break_connection(worker)
            return
        worker.hurries = False
        if reply is None:
            worker.held.clear()
            self.break_connection(worker)
            return
        assert reply.parked == [], reply.parked
        for held in settled:
            assert held.outcome is not None
            worker.held.pop(held.outcome.field)
        for raw in reply.claimed:
            self.admit(worker, raw)
        for held in worker.held.values():
            held.is_cancelled |= id_of(held.raw) in (reply.cancelled or [])

    def admit(self, worker: Worker, raw: bytes) -> None:
        found = message_field(raw)
        assert found is not None
        if found in worker.held:
            raise Violation(f"{found!r} came twice to one worker")
        worker.held[found] = Held(raw, self.scripts.us)

    def block(self, worker: Worker) -> None:
        """BLMOVE takes a message, if there is one."""
        raw = self.scripts.block(worker.id, "suspects" if worker.is_lane else "pending")
        if raw is None:
            return
        self.audit.claimed([raw])
        self.audit.look()
        if self.fails(0.1):
            self.break_connection(worker)
            return
        self.admit(worker, raw)
        worker.hurries = b'"l":' in raw or b'"p":' in raw
        if self.fails(0.3):
            # The moment in which it runs something that no exchange has seen.
            self.begin_or_end(worker)
            self.break_connection(worker)

    def begin_or_end(self, worker: Worker) -> None:
        unsettled = [held for held in worker.held.values() if held.outcome is None]
        if not unsettled:
            return
        held = self.chance.choice(unsettled)
        found = message_field(held.raw)
        assert found is not None
        if not held.begun:
            expires = self.audit.expires(held.raw)
            if b'"e":2' in held.raw or held.is_cancelled:
                held.outcome = Outcome(found, "cancelled")
            elif b'"e":1' in held.raw or (expires is not None and expires <= self.scripts.now()):
                held.outcome = Outcome(found, "expired")
            elif self.chance.random() < 0.1:
                held.outcome = Outcome(found, "release")
            else:
                held.begun = True
                self.counts["begun"] += 1
                if limited := limit_of(held.raw):
                    self.begun[limited].append(held.at)
        else:
            held.outcome = self.outcome(found, held)

    def outcome(self, found: bytes, held: Held) -> Outcome:
        if held.is_cancelled:
            return Outcome(found, "cancelled")
        if b'"v":1' in held.raw[:7]:
            return Outcome(found, "")
        how = self.chance.choice(["done", "done", "done", "retry", "dead", "later"])
        if how == "later":
            return Outcome(found, how, held.raw, str(self.chance.choice([50, 1_000])))
        if how == "retry" and b'"retries":' not in held.raw:
            again = held.raw.replace(b',"opts":', b',"retries":1,"opts":', 1)
            return Outcome(found, how, again, str(self.chance.choice([50, 1_000])))
        return Outcome(found, "dead", DEAD) if how == "dead" else Outcome(found, "done")

    def work(self, worker: Worker) -> None:
        if self.fails(0.004):
            self.kill(worker)
        elif self.fails(0.01):
            self.break_connection(worker)
        elif self.fails(0.004):
            self.drain(worker)
        elif not worker.is_ready:
            self.open(worker)
        elif worker.hurries:
            self.exchange(worker)
        else:
            step = self.chance.choice([self.exchange, self.block, self.begin_or_end])
            if step != self.block or worker.free() > 0:
                step(worker)

    # Schedulers.

    def schedule(self) -> None:
        what = self.chance.choice(["promote", "promote", "sweep", "rescue", "mend"])
        if what == "promote":
            self.scripts.promote(self.chance.choice([1, 10, 100]))
        elif what == "mend" and (keys := list(self.redis.hkeys(self.scripts.key("limits:texts")))):
            freed = self.scripts.call("mend_limits", [86_400_000, *keys])
            if freed:
                raise Violation(f"{freed} places were left behind")
        elif what == "sweep":
            _, _, late, tombstones = self.scripts.sweep(GAP, LEASE)
            for consumer in (one.decode() for one in (*late, *tombstones)):
                self.scripts.reclaim(consumer, 20_000)
                self.rescues.append((consumer, self.scripts.bury(consumer, gap=GAP)))
        elif what == "rescue" and self.rescues:
            consumer, found = self.rescues.pop(self.chance.randrange(len(self.rescues)))
            moves = []
            for old, raw in found.items():
                _, raised, is_lost = raise_deliveries(raw)
                moves.append((old, "dead" if is_lost else "home", raised, LOST if is_lost else b""))
            if moves:
                self.scripts.move(consumer, *moves)

    # The run.

    def step(self) -> None:
        chance = self.chance.random()
        if chance < 0.06 and self.has_faults:
            self.enqueue()
        elif chance < 0.07 and self.has_faults:
            self.cancel()
        elif chance < 0.075 and self.has_faults:
            self.change_rule()
        elif chance < 0.08 and self.has_faults and self.pauses:
            self.pause() if self.chance.random() < 0.3 else self.resume()
        elif chance < 0.2:
            self.schedule()
        elif chance < 0.3:
            is_long = self.has_faults and self.chance.random() < 0.01
            self.scripts.us += 8_000_000 if is_long else self.chance.choice([700, 5_000, 90_000])
        elif chance < 0.32 and self.late:
            consumer, source = self.late.pop()
            if self.chance.random() < 0.5 and (raw := self.scripts.block(consumer, source)):
                self.audit.claimed([raw])
        else:
            self.work(self.chance.choice([*self.workers, self.lane]))

    def run(self, steps: int) -> None:
        """Takes steps, then lets everything end, and looks at what is left."""
        for _ in range(steps):
            self.step()
        self.has_faults, self.late = False, []
        self.resume()
        for _ in range(400):
            for _ in range(50):
                self.step()
            self.scripts.us += 40_000
            if not self.audit.where:
                break
        else:
            raise Violation(f"these never end: {self.audit.where}")
        self.audit.at_rest()
