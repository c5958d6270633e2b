"""The tasks of the ordinary load, and what the client calls, with which options."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from . import moments
from .ledger import ENDS
from .limits import AT_ONCE, LIMITS, RATED
from .limits import TASKS as LIMITED_TASKS
from .options import BRIEF, LONG, CallOptions

# The source of the workers' module `app`, after `worker_process.PRELUDE`. A task
# whose first argument is its number in the ledger. It returns the name of its attempt.
APP = (
    """
import asyncio
from chaos.ledger import Ledger
from fluxqueue import Snooze

ledger = Ledger(os.environ["LEDGER"])

@fluxqueue.task_with_context()
def work(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries) as token:
        time.sleep(seconds)
    return token

@fluxqueue.task_with_context()
async def work_async(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries) as token:
        await asyncio.sleep(seconds)
    return token

@fluxqueue.task_with_context()
async def reporting(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries) as token:
        for step in range(5):
            ctx.progress(step, 5, token)
            await asyncio.sleep(seconds / 5)
    return token

@fluxqueue.task_with_context()
def snoozing(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries) as token:
        time.sleep(seconds)
        if ctx.metadata.snoozes < 2:
            raise Snooze("twice", delay=0.3)
    return token

@fluxqueue.task_with_context(retry_delay=0.5)
def flaky(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries) as token:
        time.sleep(seconds)
        if ctx.metadata.retries == 0:
            raise RuntimeError("at first it fails")
    return token

@fluxqueue.task_with_context(max_retries=1, retry_delay=0.5)
def doomed(ctx: Context, number, seconds):
    with ledger.run(number, ctx.metadata.retries):
        time.sleep(seconds)
        raise RuntimeError("it always fails")

@fluxqueue.task_with_context()
def unique_work(ctx: Context, number, seconds, key):
    with ledger.run(number, ctx.metadata.retries) as token:
        time.sleep(seconds)
    return token

@fluxqueue.task_with_context(retry_delay=0.3)
async def unique_flaky(ctx: Context, number, seconds, key):
    with ledger.run(number, ctx.metadata.retries) as token:
        await asyncio.sleep(seconds)
        if ctx.metadata.retries == 0:
            raise RuntimeError("at first it fails")
    return token

@fluxqueue.task_with_context()
async def debounced(ctx: Context, number, seconds, key):
    with ledger.run(number, ctx.metadata.retries) as token:
        await asyncio.sleep(seconds)
    return token

@fluxqueue.task_with_context()
def throttled(ctx: Context, number, seconds, key):
    with ledger.run(number, ctx.metadata.retries) as token:
        time.sleep(seconds)
    return token

@fluxqueue.task()
def note_failure(failure):
    with ledger.run(-failure["args"][0]):
        pass
"""
    + moments.TASKS
    + LIMITED_TASKS
)

# Seconds for which calls that debounce put their task off at most.
MAX_WAIT = 2.0
# Attempts that a task has which always fails, the first included.
ATTEMPTS_OF_DOOMED = 2
# The callback of the tasks that die.
CALLBACK = "note_failure"


@dataclass(frozen=True)
class Kind:
    """One of the tasks above, with the durations that it is called with.

    Attributes:
        may_not_run: whether its calls may expire or be cancelled.
        on_failure: its callback.
        keys: one of these is the key of a call; none: it is not unique. No two tasks share one.
        debounce, throttle: seconds; see `CallOptions`.
        limit: which of `limits.LIMITS` it has; 0: none.
    """

    name: str
    expected: str
    weight: int
    shortest: float
    longest: float
    max_retries: int = 3
    may_not_run: bool = False
    on_failure: str | None = None
    keys: tuple[int, ...] = ()
    debounce: float = 0.0
    throttle: float = 0.0
    limit: int = 0

    def declared(self) -> dict[str, Any]:
        """The options with which a client declares the task."""
        given: dict[str, Any] = {"max_retries": self.max_retries, "on_failure": self.on_failure}
        given |= LIMITS.get(self.limit, {})
        if self.keys:
            given["unique"] = ("key",)
        if self.debounce:
            given |= {"debounce": self.debounce, "max_wait": MAX_WAIT}
        if self.throttle:
            given["throttle"] = self.throttle
        return given


KINDS = (
    Kind("work", ENDS, 55, 0.0, 0.03, may_not_run=True),
    Kind("work", ENDS, 14, 0.3, 1.5, may_not_run=True),
    Kind("work", ENDS, 2, 2.0, 4.0),
    Kind("work_async", ENDS, 12, 0.0, 1.0, may_not_run=True),
    Kind("reporting", ENDS, 4, 0.3, 1.0, may_not_run=True),
    Kind("snoozing", ENDS, 3, 0.0, 0.1),
    Kind("flaky", ENDS, 7, 0.0, 0.3),
    Kind("limited", ENDS, 5, 0.0, 0.4, may_not_run=True, limit=AT_ONCE),
    Kind("rated", ENDS, 3, 0.0, 0.2, may_not_run=True, limit=RATED),
    Kind("doomed", "dead:failed", 3, 0.0, 0.1, max_retries=1, on_failure=CALLBACK),
    Kind("unique_work", ENDS, 6, 0.0, 0.6, keys=(1, 2, 3)),
    Kind("unique_flaky", ENDS, 3, 0.0, 0.3, keys=(4, 5)),
    Kind("debounced", ENDS, 4, 0.0, 0.1, keys=(6, 7), debounce=0.4),
    Kind("throttled", ENDS, 3, 0.0, 0.1, keys=(8, 9), throttle=1.0),
)
# One of these is the priority of a call. Tasks of priority 0 must end too.
PRIORITIES = (0, 0, 0, 1, 5, 9)
# The shares of the calls with a delay, with a kept result, and of these those without a waiter.
DELAYED, KEPT, UNAWAITED = 0.1, 0.4, 0.2
# The shares of those that may expire, or are cancelled, among the tasks that may end so.
EXPIRING, CANCELLED = 0.1, 0.1


@dataclass(frozen=True)
class Choice:
    """A call to make.

    Attributes:
        seconds: how long the task should take.
        cancels: whether the client cancels it a little later.
    """

    kind: Kind
    seconds: float
    options: CallOptions
    cancels: bool = False

    def arguments(self, number: int) -> tuple[Any, ...]:
        """The arguments of the call."""
        key = (self.options.key,) if self.options.key else ()
        return number, self.seconds, *key


def choose(chance: random.Random) -> Choice:
    """Returns a random call."""
    (kind,) = chance.choices(KINDS, [kind.weight for kind in KINDS])
    seconds = round(chance.uniform(kind.shortest, kind.longest), 3)
    delay = round(chance.uniform(0.1, 1.0), 3) if chance.random() < DELAYED else 0.0
    ttl = 0.0
    if kind.name == "reporting" or chance.random() < KEPT:
        ttl = BRIEF if chance.random() < UNAWAITED else LONG
    fate = chance.random() if kind.may_not_run else 1.0
    # A call that would expire during its delay is refused.
    expires = round(delay + chance.uniform(0.02, 1.5), 3) if fate < EXPIRING else 0.0
    cancels = EXPIRING <= fate < EXPIRING + CANCELLED
    if expires or cancels:
        # Nothing else shows how it has ended.
        ttl = LONG
    if kind.debounce:
        # It has a delay. Each call replaces the one before, so no id can be known before.
        delay = ttl = 0.0
    options = CallOptions(
        priority=chance.choice(PRIORITIES),
        delay=delay,
        expires=expires,
        result_ttl=ttl,
        calls_back=kind.on_failure is not None,
        key=chance.choice(kind.keys) if kind.keys else 0,
        debounce=kind.debounce,
        throttle=kind.throttle,
        limit=kind.limit,
    )
    return Choice(kind, seconds, options, cancels)
