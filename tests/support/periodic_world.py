"""A randomized checker of the scripts `tick` and `schedule`, on a real Redis.

Schedulers, callers and workers are state machines; each step executes one script, loses one
reply, ends a run, or moves the time. The time is a key of Redis, so a seed gives the same run
again.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from fluxqueue_core import key, script, script_keys
from fluxqueue_core.periodic import plan, record
from fluxqueue_core.periodic.times import Times

QUEUE = "q"
EVERY = 1_000
GRACE = 60_000
CLOCK = "fluxqueue:{q}:clock"
IDS = ("a", "b")
MESSAGE = re.compile(rb'\{"v":(\d),"id":"(.{36})"(?:,"opts":\{([^}]*)\})?,"name":"(\w)"')


class Violation(Exception):
    """A property does not hold."""


@dataclass(frozen=True)
class Run:
    """A run in the queue, and whether its message has a lock."""

    task_id: str
    has_lock: bool


@dataclass
class Known:
    """An entry as a scheduler has read it, maybe long ago."""

    raw: bytes
    due: bytes


def template(entry: str, rules: record.Rules) -> bytes:
    """A message as a client makes it."""
    task_id = record.template_id("", QUEUE, entry)
    options = [] if rules.expires is None else ['"x":"+00000001000"']
    options += [] if rules.overlap is None else [f'"u":"{record.lock_digest(entry)}:86400000"']
    head = f'{{"v":1,"id":"{task_id}"'
    if options:
        head = f'{{"v":2,"id":"{task_id}","opts":{{{",".join(options)}}}'
    return f'{head},"name":"{rules.task}","args":[]}}'.encode()


def lock_of(entry: str) -> str:
    """The key of the lock of an entry's runs."""
    return key("unique", QUEUE, record.lock_digest(entry))


class World:
    """See the module's text."""

    def __init__(self, redis: Any, seed: int, mutant: tuple[str, str, str] | None = None) -> None:
        self.redis = redis
        self.chance = random.Random(seed)
        self.now = 1_764_430_000_000
        self.texts = {}
        for name in ("tick", "schedule"):
            text = script(name)
            clock = re.compile(r"local function now\(\)\n.*?\nend\n", re.DOTALL)
            fixed = f"local function now() return tonumber(redis.call('GET', '{CLOCK}')) end\n"
            [real] = clock.findall(text)
            self.texts[name] = text.replace(real, fixed)
        if mutant is not None:
            name, old, new = mutant
            assert old in self.texts[name], f"{old!r} is not in {name}"
            self.texts[name] = self.texts[name].replace(old, new)
        self.schedulers: list[dict[str, Known]] = [{}, {}]
        # By id: the rules, whether it is paused, and the first moment that may come.
        self.rules: dict[str, record.Rules] = {}
        self.paused: set[str] = set()
        self.since: dict[str, int] = {}
        self.runs: Counter[tuple[str, int]] = Counter()
        # The moments that were left out while the last run had not ended; and these runs, by id
        # of the entry.
        self.skipped: set[tuple[str, int]] = set()
        self.running: dict[str, str] = {}
        self.declared_at = [-GRACE, -GRACE]
        self.releases = [self.random_rules("d"), self.random_rules("d")]
        # By id: what the history must be, the newest first.
        self.histories: dict[str, list[str]] = {}
        self.counts: Counter[str] = Counter()

    def run(self, name: str, *arguments: Any) -> Any:
        """Executes a script."""
        self.redis.set(CLOCK, self.now)
        keys = script_keys(name, QUEUE)
        self.counts[name] += 1
        return self.redis.execute_command("EVAL", self.texts[name], len(keys), *keys, *arguments)

    def random_rules(self, task: str) -> record.Rules:
        """Rules of which every moment runs, however late."""
        expires = self.chance.choice([None, 500])
        every = EVERY * self.chance.choice([1, 1, 2])
        overlap = self.chance.choice([None, "skip"])
        return record.Rules(
            task, Times(every=every), catch_up=100, expires=expires, overlap=overlap
        )

    # The actors.

    def caller(self) -> None:
        """Changes an entry by a call."""
        entry = self.chance.choice(IDS)
        what = self.chance.choice(["set", "set", "same", "remove", "pause", "resume"])
        old = self.rules.get(entry)
        if what == "same" and old is None:
            return
        rules = old if what == "same" and old is not None else self.random_rules(entry)
        if old is not None and self.chance.random() < 0.5:
            rules = replace(rules, times=old.times)  # only its message changes
        if what not in ("set", "same") or (old is not None and rules.times != old.times):
            self.settle(entry)
        if what in ("set", "same"):
            message = template(entry, rules)
            made = record.make(rules, message, declared=False)
            [word] = self.run("schedule", "set", entry, made, message)
            assert word in (b"added", b"changed", b"unchanged"), word
            if word == b"unchanged" and (old is None or old != rules):
                raise Violation(f"a change of {entry} was taken for none")
            if old is None or (old.times != rules.times and entry not in self.paused):
                self.since[entry] = self.now + 1  # a moment counts after the call
            self.rules[entry] = rules
        elif what == "remove":
            self.run("schedule", "remove", entry)
            self.rules.pop(entry, None)
            self.paused.discard(entry)
            self.removed(entry)
        elif old is not None:
            self.run("schedule", what, entry)
            if what == "pause":
                self.paused.add(entry)
            elif entry in self.paused:
                self.paused.discard(entry)
                self.since[entry] = self.now + 1

    def settle(self, entry: str) -> None:
        """Schedulers enqueue what is due, before a change makes the account of it end."""
        if entry in self.rules and entry not in self.paused:
            scheduler: dict[str, Known] = {}
            for _ in range(3):
                self.read(scheduler, entry)
                self.tick(scheduler, [entry], self.now)
            self.account(entry)

    def worker(self) -> None:
        """A worker of one of two releases declares its entry."""
        release = self.chance.choice([0, 1])
        rules = self.releases[release]
        message = template("d", rules)
        made = record.make(rules, message, declared=True)
        [word] = self.run("schedule", "declare", GRACE, "d", made, message)
        if word == b"changed" and all(self.now - at < GRACE for at in self.declared_at):
            raise Violation("two releases replace each other's declaration")
        self.declared_at[release] = self.now

    def stopper(self) -> None:
        """A scheduler that has read a declaration long ago stops it."""
        raw = self.redis.hget(key("periodic", QUEUE), "d")
        if raw is None:
            return
        digest = raw[: record.DIGEST].decode()
        score = self.redis.zscore(key("periodic:seen", QUEUE), f"d\0{digest}")
        if score is None or self.now - score < GRACE:
            return
        if self.chance.random() < 0.8:
            self.worker()
        now = self.redis.zscore(key("periodic:seen", QUEUE), f"d\0{digest}")
        text = repr(score).removesuffix(".0")
        [word] = self.run("schedule", "stop", "d", digest, text)
        if word == b"removed" and now != score:
            raise Violation("a declaration was stopped that a worker has just made")
        if word == b"removed":
            self.removed("d")

    def removed(self, entry: str) -> None:
        """An entry that is gone gets no history from the notes about it."""
        self.histories.pop(entry, None)
        while self.redis.exists(key("periodic:notes", QUEUE)):
            self.filer()
        if self.redis.hexists(key("periodic:runs", QUEUE), entry):
            raise Violation(f"{entry} is gone and has a history")

    def read(self, scheduler: dict[str, Known], entry: str) -> None:
        """A scheduler reads an entry."""
        raw = self.redis.hget(key("periodic", QUEUE), entry)
        due = self.redis.zscore(key("periodic:due", QUEUE), entry)
        scheduler.pop(entry, None)
        if raw is not None and due is not None:
            scheduler[entry] = Known(raw, repr(due).removesuffix(".0").encode())

    def tick(self, scheduler: dict[str, Known], entries: list[str], now: int) -> None:
        """A scheduler enqueues what it believes to be due; its reply may be lost."""
        arguments: list[Any] = [self.chance.choice([0, self.now - 10]), now]
        planned: dict[str, plan.Plan] = {}
        groups: dict[tuple[object, ...], list[str]] = {}
        for entry in entries:
            known = scheduler.get(entry)
            if known is None:
                continue
            found = record.Record.parse(known.raw)
            due = float(known.due)
            if due != int(due):
                at = plan.first(found.rules, due)
            else:
                following = found.rules.times.after(int(due))
                at = plan.single(entry, found.rules, int(due), following)
                if now > plan.on_time_until(found.rules, int(due), following):
                    at = plan.late(entry, found.rules, int(due), max(now, int(due)))
            planned[entry] = at
            group = (known.due, at.next, at.limit, at.events)
            groups.setdefault(group, []).extend((entry, found.digest))
        for shared, members in groups.items():
            arguments += [*shared, len(members) // 2, *members]
        _, _, differing, _, _ = self.run("tick", *arguments)
        found_runs = self.look()
        for entry, at in planned.items():
            if entry.encode() not in differing[::2]:
                self.follow(entry, at.events, found_runs)
                self.note(entry, at)
        if self.chance.random() < 0.2:
            return  # the reply is lost
        for entry, at in planned.items():
            if entry.encode() in differing[::2]:
                self.read(scheduler, entry)
            elif at.next == "":
                del scheduler[entry]
            else:
                scheduler[entry].due = str(at.next).encode()

    def follow(self, entry: str, events: str, runs: dict[tuple[str, int], Run]) -> None:
        """Checks what a call has done with the moments of an entry."""
        for word in events.split():
            moment = int(word[1:].partition("+")[0])
            run = runs.get((entry, moment))
            if run is None:
                if entry not in self.running:
                    raise Violation(f"{entry} at {moment} was left out, and no run is in progress")
                self.skipped.add((entry, moment))
                self.counts["skipped"] += 1
            elif run.has_lock and entry in self.running:
                raise Violation(f"{entry} at {moment} began beside {self.running[entry]}")
            elif run.has_lock:
                self.running[entry] = run.task_id

    def note(self, entry: str, at: plan.Plan) -> None:
        """The history will say what a call has done, unless the entry is gone."""
        for word in at.events.split():
            moment = int(word[1:].partition("+")[0])
            skipped = (entry, moment) in self.skipped
            kind = "m" if word[0] == "m" else "s" if skipped else "r"
            self.histories.setdefault(entry, []).insert(0, f"{moment}:{kind}")

    def filer(self) -> None:
        """A scheduler lets Redis write histories; then those that are complete are checked."""
        if self.run("tick", 0, self.now)[4]:
            return
        for entry, expected in self.histories.items():
            raw = self.redis.hget(key("periodic:runs", QUEUE), entry) or b""
            words = [word.split(":") for word in raw.decode().split()]
            found = [f"{moment}:{kind}" for moment, _, kind in words]
            whole = expected if len(raw) < 450 else expected[: len(found)]
            if found != whole:
                raise Violation(f"the history of {entry} is {found[:6]}, not {whole[:6]}")
            self.counts["histories"] += bool(found)

    def ender(self) -> None:
        """A run ends, and frees its lock."""
        if self.running:
            entry = self.chance.choice(sorted(self.running))
            self.end(entry)

    def end(self, entry: str) -> None:
        """The run of an entry that holds its lock ends."""
        task_id = self.running.pop(entry)
        if self.redis.hget(lock_of(entry), "id") != task_id.encode():
            raise Violation(f"the lock of {entry} is not that of its run")
        self.redis.delete(lock_of(entry))

    def look(self) -> dict[tuple[str, int], Run]:
        """Takes what was enqueued, and checks it. Returns the runs by entry and moment."""
        new: dict[tuple[str, int], Run] = {}
        kinds = {key("pending", QUEUE): "list", key("delayed", QUEUE): "zset"}
        found: list[bytes] = self.redis.lrange(key("pending", QUEUE), 0, -1)
        found += self.redis.zrange(key("delayed", QUEUE), 0, -1)
        self.redis.delete(*kinds)
        for raw in found:
            match = MESSAGE.match(raw)
            if match is None:
                raise Violation(f"not a message: {raw!r}")
            task_id, entry = match[2].decode(), match[4].decode()
            moment = int(task_id[:8] + task_id[9:13], 16)
            new[entry, moment] = Run(task_id, b'"u":"' in (match[3] or b""))
            if entry == "d":
                continue
            if task_id != record.run_id(record.template_id("", QUEUE, entry), moment):
                raise Violation(f"{task_id} is not of {entry}")
            if b'"x":"+' in raw:
                raise Violation(f"a run without the moment of its expiry: {raw!r}")
            if moment > self.now:
                raise Violation(f"{entry} at {moment} came {moment - self.now} ms early")
            if entry not in self.rules or entry in self.paused:
                raise Violation(f"{entry} at {moment} came although it is removed or paused")
            if (b'"x"' in raw) != (self.rules[entry].expires is not None):
                raise Violation(f"{entry} at {moment} has the message of other rules")
            self.runs[entry, moment] += 1
            if self.runs[entry, moment] > 1:
                raise Violation(f"{entry} at {moment} came twice")
            self.counts["runs"] += 1
        return new

    def account(self, entry: str) -> None:
        """Each moment until now has come."""
        rules = self.rules[entry]
        moment = rules.times.after(self.since[entry] - 1)
        while moment is not None and moment <= self.now:
            if self.runs[entry, moment] + ((entry, moment) in self.skipped) != 1:
                raise Violation(f"{entry} at {moment} came {self.runs[entry, moment]} times")
            moment = rules.times.after(moment)
        self.since[entry] = self.now + 1

    def step(self) -> None:
        """One step of an actor."""
        what = self.chance.random()
        scheduler = self.chance.choice(self.schedulers)
        if what < 0.06:
            self.caller()
        elif what < 0.10:
            self.worker()
        elif what < 0.13:
            self.stopper()
        elif what < 0.14:
            for entry in IDS:
                self.settle(entry)
            self.now += GRACE // 2  # no worker comes
        elif what < 0.15:
            scheduler.clear()  # it is killed, and another one starts
        elif what < 0.24:
            self.ender()
        elif what < 0.26:
            self.filer()
        elif what < 0.42:
            self.read(scheduler, self.chance.choice([*IDS, "d"]))
        elif what < 0.65:
            self.now += self.chance.choice([1, 50, 400, 999, 1_000, 7_000])
        else:
            # The clock of a scheduler may be wrong.
            wrong = self.chance.choice([0, 0, 0, -5_000, 1_500])
            due = [e for e in sorted(scheduler) if float(scheduler[e].due) <= self.now + wrong]
            self.tick(scheduler, due, self.now + wrong)

    def check(self, steps: int) -> None:
        """Runs, and then accounts for every moment.

        Raises:
            Violation: a property does not hold.
        """
        for _ in range(steps):
            self.step()
        for entry in IDS:
            self.settle(entry)
        for entry in list(self.running):
            self.end(entry)
        while self.redis.exists(key("periodic:notes", QUEUE)):
            self.filer()
        self.redis.delete(CLOCK)
