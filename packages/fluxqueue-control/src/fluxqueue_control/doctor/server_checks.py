"""The doctor's answers about a server: its version, settings, memory, clock and rights."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from fluxqueue_control.redis_client import RedisClient

from .diagnosis import Diagnosis, refused

Info: TypeAlias = Mapping[str, Any]

# The oldest version of Redis that FluxQueue works with.
_OLDEST = (6, 2)
# Round trips of which the median is the latency.
_ROUND_TRIPS = 9
# Seconds of a round trip, and seconds that two clocks differ by.
_SLOW, _VERY_SLOW = 0.010, 0.100
_OFF = 1.0
# Shares of `maxmemory` and of `maxclients`.
_NEARLY_FULL, _FULL = 0.8, 0.95
# Refusals that are older are not of interest.
_RECENT = 86_400.0
_REFUSALS = 32
_DISK = "look at the log of Redis, and its disk"


def examine_server(client: RedisClient) -> Iterator[Diagnosis]:
    """Yields what it finds about the client's server.

    Raises:
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    yield from _latency_and_clock(client)
    [info] = client.commands([("INFO",)])
    no_info = refused("server", info, "+info")
    if no_info is None:
        yield _version(info)
        yield from _role(info)
        yield from _persistence(client, info)
        yield from _memory(info)
        yield from _clients(info)
    else:
        for check in ("version", "persistence", "eviction", "maxmemory", "clients"):
            yield Diagnosis(check, no_info.status, no_info.text, no_info.remedy)
    yield from _rights(client)


def _latency_and_clock(client: RedisClient) -> Iterator[Diagnosis]:
    client.commands([("TIME",)])  # connects
    times, offsets = [], []
    for _ in range(_ROUND_TRIPS):
        wall, began = time.time(), time.perf_counter()
        [reply] = client.commands([("TIME",)])
        took = time.perf_counter() - began
        if (diagnosis := refused("clock", reply, "+time")) is not None:
            yield diagnosis
            return
        times.append(took)
        # By the middle of the round trip; the true difference is at most half of it away.
        offsets.append((took, int(reply[0]) + int(reply[1]) / 1e6 - wall - took / 2))
    median = statistics.median(times)
    text = f"a round trip takes {median * 1_000:.1f} ms (median of {_ROUND_TRIPS})"
    if median < _SLOW:
        yield Diagnosis("latency", "ok", text)
    else:
        status: Any = "problem" if median >= _VERY_SLOW else "warning"
        yield Diagnosis("latency", status, text, "run Redis and workers in one network")
    took, offset = min(offsets)
    text = f"the clock of Redis is {abs(offset):.3f} s {'ahead' if offset > 0 else 'behind'}"
    if abs(offset) - took / 2 < _OFF:
        yield Diagnosis("clock", "ok", text)
    else:
        remedy = "synchronize both clocks (NTP): ids, dates and waiting times come from this one"
        yield Diagnosis("clock", "warning", f"{text} of this machine's", remedy)


def _version(info: Info) -> Diagnosis:
    name = str(info.get("server_name") or "redis").capitalize()
    own = info.get(f"{info.get('server_name')}_version")
    version = str(info.get("redis_version", ""))
    text = f"{name} {own} (as Redis {version})" if own else f"{name} {version}"
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts < _OLDEST:
        return Diagnosis("version", "problem", text, "use Redis 6.2 or later")
    return Diagnosis("version", "ok", text)


def _role(info: Info) -> Iterator[Diagnosis]:
    if info.get("role") == "slave":
        text = "this server is a replica, which accepts no tasks"
        yield Diagnosis("role", "problem", text, "name the master in the URL")


def _persistence(client: RedisClient, info: Info) -> Iterator[Diagnosis]:
    if info.get("aof_enabled"):
        if info.get("aof_last_write_status") != "ok":
            text = "the last write to the append-only file has failed"
            yield Diagnosis("persistence", "problem", text, _DISK)
        else:
            yield Diagnosis("persistence", "ok", "the append-only file is on")
        return
    remedy = "set appendonly yes"
    [reply] = client.commands([("CONFIG", "GET", "save")])
    if (diagnosis := refused("persistence", reply, "+config|get")) is not None:
        text = "the append-only file is off; this user may not see whether there are snapshots"
        yield Diagnosis("persistence", "warning", text, f"{remedy}, or grant {diagnosis.remedy}")
    elif _value(reply):
        text = "there are only snapshots: a crash loses the tasks of minutes"
        yield Diagnosis("persistence", "warning", text, remedy)
    else:
        yield Diagnosis("persistence", "problem", "a restart of Redis loses all tasks", remedy)
    if info.get("rdb_last_bgsave_status") not in ("ok", None):
        text = "the last snapshot has failed"
        yield Diagnosis("persistence", "problem", text, _DISK)


def _value(reply: Any) -> str:
    """The value of one setting in the answer of CONFIG GET."""
    found = list(reply.values()) if isinstance(reply, Mapping) else list(reply)[1::2]
    value = found[0] if found else ""
    return value.decode() if isinstance(value, bytes) else str(value)


def _memory(info: Info) -> Iterator[Diagnosis]:
    policy, most = str(info.get("maxmemory_policy")), int(info.get("maxmemory") or 0)
    used, evicted = int(info.get("used_memory") or 0), int(info.get("evicted_keys") or 0)
    if not most or policy == "noeviction":
        yield Diagnosis("eviction", "ok", f"maxmemory-policy is {policy}")
    elif policy.startswith("volatile-"):
        text = f"maxmemory-policy is {policy}: results and locks can be deleted before their time"
        yield Diagnosis("eviction", "notice", text, "set maxmemory-policy noeviction")
    else:
        text = f"maxmemory-policy is {policy}: Redis deletes tasks once its memory is full"
        status: Any = "problem" if evicted else "warning"
        yield Diagnosis("eviction", status, text, "set maxmemory-policy noeviction")
    if not most:
        text = f"there is no limit; {_size(used)} are used"
        remedy = "set maxmemory, so that calls fail before the system kills Redis"
        yield Diagnosis("maxmemory", "notice", text, remedy)
        return
    share = used / most
    text = f"{_size(used)} of {_size(most)} are used ({share:.0%})"
    remedy = "raise maxmemory, add workers, or purge; `fluxqueue queues` shows what is there"
    if share < _NEARLY_FULL:
        yield Diagnosis("maxmemory", "ok", text)
    else:
        yield Diagnosis("maxmemory", "problem" if share >= _FULL else "warning", text, remedy)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _clients(info: Info) -> Iterator[Diagnosis]:
    most, now = int(info.get("maxclients") or 0), int(info.get("connected_clients") or 0)
    if not most:  # Redis 6.2 does not say it
        return
    text = f"{now} of {most} connections are in use"
    if now < _NEARLY_FULL * most:
        yield Diagnosis("clients", "ok", text)
    else:
        yield Diagnosis("clients", "warning", text, "raise maxclients")


def _rights(client: RedisClient) -> Iterator[Diagnosis]:
    user, log = client.commands([("ACL", "WHOAMI"), ("ACL", "LOG", _REFUSALS)])
    if (diagnosis := refused("user", user, "+acl|whoami")) is not None:
        yield diagnosis
    elif _text(user) == "default":
        text = "this connection is that of the user `default`"
        remedy = "give each role its own user (docs/security.md)"
        yield Diagnosis("user", "notice", text, remedy)
    else:
        yield Diagnosis("user", "ok", f"this connection is that of the user {_text(user)!r}")
    if (diagnosis := refused("rights", log, "+acl|log")) is not None:
        yield diagnosis
        return
    recent = [entry for entry in map(_entry, log) if float(entry["age-seconds"]) < _RECENT]
    for entry in recent:
        what = f"{entry['reason']} {entry['object']!r}"
        text = f"Redis refused the user {entry['username']!r} {entry['count']} times: {what}"
        yield Diagnosis("rights", "warning", text, "grant it (docs/security.md), or end the client")
    if not recent:
        yield Diagnosis("rights", "ok", "Redis has refused no command for lack of a right today")


def _entry(raw: Any) -> dict[str, str]:
    """An entry of ACL LOG. redis-py makes a dict of it in some of its versions."""
    pairs = raw.items() if isinstance(raw, Mapping) else zip(raw[::2], raw[1::2], strict=True)
    return {_text(name): _text(value) for name, value in pairs}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
