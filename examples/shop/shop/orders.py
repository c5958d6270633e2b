"""The shop's orders, in Redis under `shop:`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

# The steps of an order, and their names on the page.
STEPS = {
    "charge": "Charge the card",
    "pack": "Pack the parcel",
    "confirm": "Tell the customer",
    "points": "Credit loyalty points",
}
# An optional step: an order is done without it.
SIDE_STEP = "points"

KEEP_SECONDS = 86_400
KEEP_ORDERS = 1_000


@dataclass(frozen=True)
class Step:
    """How far one step is.

    Attributes:
        state: "waiting", "running", "retrying", "done" or "failed".
        attempts: how often it has begun, including on lost workers.
        failures: how many attempts have failed.
        error: the error of the last failed attempt.
    """

    state: str
    attempts: int
    failures: int
    error: str


@dataclass(frozen=True)
class Order:
    """An order and its steps, by their names in `STEPS`.

    Attributes:
        placed_at: seconds since 1970.
        trace_id: 32 hex digits; empty if there was no trace.
    """

    number: int
    customer: str
    item: str
    quantity: int
    card: str
    placed_at: float
    trace_id: str
    steps: dict[str, Step]

    @property
    def state(self) -> str:
        """ "failed", "done" or "in progress"."""
        states = [step.state for name, step in self.steps.items() if name != SIDE_STEP]
        if "failed" in states:
            return "failed"
        return "done" if set(states) == {"done"} else "in progress"

    @property
    def at_its_end(self) -> bool:
        """Whether all steps have reached their final state."""
        ended = all(step.state in ("done", "failed") for step in self.steps.values())
        return ended or self.state == "failed"


class Orders:
    """The orders; may be used by any thread."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def place(
        self, *, customer: str, item: str, quantity: int, card: str, trace_id: str = ""
    ) -> int:
        """Stores a new order and returns its number."""
        number = int(self._redis.incr("shop:last-number"))
        with self._redis.pipeline() as pipe:
            pipe.hset(
                _key(number),
                mapping={
                    "customer": customer,
                    "item": item,
                    "quantity": quantity,
                    "card": card,
                    "placed_at": time.time(),
                    "trace_id": trace_id,
                },
            )
            pipe.expire(_key(number), KEEP_SECONDS)
            pipe.lpush("shop:orders", number)
            pipe.ltrim("shop:orders", 0, KEEP_ORDERS - 1)
            pipe.execute()
        return number

    def begin(self, number: int, step: str) -> int:
        """Begins an attempt at a step; returns its number, from 1."""
        with self._redis.pipeline() as pipe:
            pipe.hincrby(_key(number), f"{step}:attempts", 1)
            pipe.hset(_key(number), step, "running")
            return int(pipe.execute()[0])

    def finish(self, number: int, step: str) -> None:
        """Marks the step as done."""
        self._redis.hset(_key(number), step, "done")

    def fail(self, number: int, step: str, error: str, *, final: bool) -> None:
        """Records a failed attempt; `final`: there will be no other."""
        with self._redis.pipeline() as pipe:
            pipe.hincrby(_key(number), f"{step}:failures", 1)
            state = "failed" if final else "retrying"
            pipe.hset(_key(number), mapping={step: state, f"{step}:error": error})
            pipe.execute()

    def get(self, number: int) -> Order | None:
        """The order, or None."""
        return self._read([number])[0]

    def recent(self, count: int) -> list[Order]:
        """The newest orders, newest first."""
        numbers = [int(number) for number in self._redis.lrange("shop:orders", 0, count - 1)]
        return [order for order in self._read(numbers) if order is not None]

    def _read(self, numbers: list[int]) -> list[Order | None]:
        with self._redis.pipeline(transaction=False) as pipe:
            for number in numbers:
                pipe.hgetall(_key(number))
            found = pipe.execute()
        return [
            _order(number, fields) if fields else None
            for number, fields in zip(numbers, found, strict=True)
        ]


def _key(number: int) -> str:
    return f"shop:order:{number}"


def _order(number: int, fields: Mapping[str, str]) -> Order:
    return Order(
        number=number,
        customer=fields["customer"],
        item=fields["item"],
        quantity=int(fields["quantity"]),
        card=fields["card"],
        placed_at=float(fields["placed_at"]),
        trace_id=fields["trace_id"],
        steps={
            name: Step(
                state=fields.get(name, "waiting"),
                attempts=int(fields.get(f"{name}:attempts", 0)),
                failures=int(fields.get(f"{name}:failures", 0)),
                error=fields.get(f"{name}:error", ""),
            )
            for name in STEPS
        },
    )


def connect(retries: int) -> Redis:
    """Returns a client of the Redis that `FLUXQUEUE_REDIS_URL` names.

    Args:
        retries: how often a call is tried again; ten take about six seconds.
    """
    url = os.environ.get("FLUXQUEUE_REDIS_URL", "redis://127.0.0.1:6379")
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=2,
        socket_connect_timeout=2,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries),
    )


@cache
def orders() -> Orders:
    """The process's orders. Calls wait while Redis restarts."""
    return Orders(connect(retries=10))
