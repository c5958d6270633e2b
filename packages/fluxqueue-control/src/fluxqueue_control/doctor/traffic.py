"""How many commands Redis gets: a server that is paid by the command costs money when idle."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fluxqueue_control.redis_client import RedisClient

from .diagnosis import Diagnosis, Status

_HOUR = 3_600
# From the intervals of worker and scheduler: a worker renews its lease of 10 s three times in it,
# and asks by BLMOVE twice. A scheduler looks 20 times a second for due tasks: by a script for each
# queue, or of more than 16 queues by an EXISTS for each hundred, in a cluster for each one. It
# sweeps twice a second, and reads the names of queues once. `MONITOR` shows the same.
_OF_A_CONSUMER = (3 + 2) * _HOUR // 10
_LOOKS = 20
_OTHERS = 2 + 1
_FEW_QUEUES, _GROUP = 16, 100
# Commands that run a script. Redis counts the calls inside of it as commands too.
_RUN_SCRIPTS = ("eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro")
_REMEDY = "if Redis is paid by the command: a longer --lease of workers, and one scheduler only"


def examine_traffic(client: RedisClient, queues: Sequence[str], seconds: float) -> list[Diagnosis]:
    """Counts for some seconds the commands of all clients of the server. If there is no time for
    it, or this user may not see them, computes how many idle workers and a scheduler send.

    Raises:
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if seconds <= 0:
        return [_computed(client, queues, "ok", "not measured")]
    before = _Counts.read(client)
    if before is None:
        return [_computed(client, queues, "unknown", "this user may not measure (+info)")]
    began = time.monotonic()
    time.sleep(seconds)
    after = _Counts.read(client) or before
    took = time.monotonic() - began
    # Without the two INFO of this function, which are one read.
    reads, total = after.reads - before.reads - 1, after.total - before.total - 2
    # Clients may send several commands for one read: those that run scripts are counted exactly.
    least = max(reads, after.scripts - before.scripts, 0)
    text = (
        f"measured for {took:.1f} s: at least {round(least / took * _HOUR):,} commands of all "
        f"clients an hour; {round(max(total, least) / took * _HOUR):,} with the calls inside of "
        f"scripts"
    )
    return [Diagnosis("commands", "ok", text, _REMEDY)]


@dataclass(frozen=True, slots=True)
class _Counts:
    """The counts of the server since its start.

    Attributes:
        reads: from sockets of clients: a read has one command, or several of a pipeline.
        scripts: commands that ran a script.
        total: all commands, with the calls inside of scripts.
    """

    reads: int
    scripts: int
    total: int

    @classmethod
    def read(cls, client: RedisClient) -> _Counts | None:
        """Reads them; None if this user may not."""
        stats, commands = client.commands([("INFO", "stats"), ("INFO", "commandstats")])
        if not isinstance(stats, Mapping) or not isinstance(commands, Mapping):
            return None
        ran = (commands.get(f"cmdstat_{name}", {"calls": 0}) for name in _RUN_SCRIPTS)
        return cls(
            reads=int(stats.get("total_reads_processed", 0)),
            scripts=sum(int(each["calls"]) for each in ran),
            total=int(stats["total_commands_processed"]),
        )


def _computed(client: RedisClient, queues: Sequence[str], status: Status, why: str) -> Diagnosis:
    replies: list[Any] = client.commands(
        ("ZRANGEBYSCORE", client.key("consumers", queue), 0, "+inf") for queue in queues
    )
    consumers = sum(len(reply) for reply in replies if isinstance(reply, list))
    number = consumers * _OF_A_CONSUMER + _of_a_scheduler(len(queues), client.is_cluster)
    text = (
        f"computed for the default settings: idle workers ({consumers} in all queues) and a "
        f"scheduler send about {number:,} commands an hour; {why}"
    )
    return Diagnosis("commands", status, text, _REMEDY)


def _of_a_scheduler(queues: int, is_cluster: bool) -> int:
    """The commands that an idle scheduler sends in an hour."""
    if not queues:
        return 0
    is_each = queues <= _FEW_QUEUES or is_cluster
    asked = queues if is_each else math.ceil(queues / _GROUP)
    return (asked * _LOOKS + _OTHERS) * _HOUR
