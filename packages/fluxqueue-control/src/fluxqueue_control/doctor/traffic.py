"""How many commands Redis gets: a server that is paid by the command costs money when idle."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from fluxqueue_control.redis_client import RedisClient

from .diagnosis import Diagnosis, Status

_HOUR = 3_600
# From the intervals of worker and scheduler: a worker renews its lease of 10 s three times in it,
# and asks by BLMOVE twice. A scheduler looks for due tasks twenty times a second, for
# periodic ones ten times, and sweeps twice.
_OF_A_CONSUMER = (3 + 2) * _HOUR // 10
_OF_A_SCHEDULER = (20 + 10 + 2) * _HOUR
_REMEDY = "if Redis is paid by the command: a longer --lease of workers, and one scheduler only"


def examine_traffic(client: RedisClient, queues: Sequence[str], seconds: float) -> list[Diagnosis]:
    """Counts for some seconds the commands of all clients of the server. If there is no time for
    it, or this user may not see them, computes how many idle workers and a scheduler send.

    Raises:
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if seconds <= 0:
        return [_computed(client, queues, "ok", "not measured")]
    before = _count(client)
    if before is None:
        return [_computed(client, queues, "unknown", "this user may not measure (+info)")]
    began = time.monotonic()
    time.sleep(seconds)
    after = _count(client)
    took = time.monotonic() - began
    # Without the INFO of this function.
    number = max((after or before) - before - 1, 0)
    text = (
        f"measured for {took:.1f} s: {round(number / took * _HOUR):,} commands an hour, of all "
        f"clients and with those in scripts"
    )
    return [Diagnosis("commands", "ok", text, _REMEDY)]


def _count(client: RedisClient) -> int | None:
    [reply] = client.commands([("INFO", "stats")])
    return int(reply["total_commands_processed"]) if isinstance(reply, Mapping) else None


def _computed(client: RedisClient, queues: Sequence[str], status: Status, why: str) -> Diagnosis:
    replies: list[Any] = client.commands(
        ("ZRANGEBYSCORE", client.key("consumers", queue), 0, "+inf") for queue in queues
    )
    consumers = sum(len(reply) for reply in replies if isinstance(reply, list))
    number = consumers * _OF_A_CONSUMER + (_OF_A_SCHEDULER if queues else 0)
    text = (
        f"computed for the default settings: idle workers ({consumers} in all queues) and a "
        f"scheduler send about {number:,} commands an hour; {why}"
    )
    return Diagnosis("commands", status, text, _REMEDY)
