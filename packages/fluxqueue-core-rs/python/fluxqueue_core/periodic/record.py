"""The record of a periodic task in Redis: the text that schedulers read, and the ready
message of its runs.

Why: docs/decisions/0140-a-periodic-task-is-a-ready-message.md
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from .times import Times

# The length of the digest of a record with its message, and of the head before the JSON.
DIGEST = 16
HEAD = 26
# The place of the id in a message.
ID = slice(13, 49)
_TIMES = ("cron", "tz", "every", "start", "end")


@dataclass(frozen=True, slots=True)
class Rules:
    """A periodic task without its message.

    Attributes:
        task: the name of the task that runs.
        times: when.
        catch_up: how many of the moments that have passed without a scheduler run late;
            0: none that is more than a minute late.
        jitter: ms by which a run is delayed at most.
        expires: ms after its moment after which a run may not begin; 'next': at the next
            moment; None: never.
        overlap: 'skip': no run begins while the last one has not ended; None: it may.
    """

    task: str
    times: Times
    catch_up: int = 1
    jitter: int = 0
    expires: int | str | None = "next"
    overlap: str | None = None

    def as_json(self) -> bytes:
        """Returns the rules as records have them."""
        times = {name: getattr(self.times, name) for name in _TIMES}
        own = {
            "task": self.task,
            "catch_up": self.catch_up,
            "jitter": self.jitter,
            "expires": self.expires,
            "overlap": self.overlap,
        }
        kept = {name: value for name, value in (times | own).items() if value is not None}
        return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, text: bytes) -> Rules:
        """Reads the rules.

        Raises:
            ValueError, TypeError, KeyError: a later release has written them, or another
                program.
        """
        found: dict[str, Any] = orjson.loads(text)
        times = Times(**{name: found.pop(name) for name in _TIMES if name in found})
        found.setdefault("expires", None)
        return cls(times=times, **found)


@dataclass(frozen=True, slots=True)
class Record:
    """A periodic task as Redis has it, besides its message.

    Attributes:
        digest: of the rules and the message.
        declared: whether code declares it; otherwise a call has scheduled it.
        paused: whether it has no moments for now.
        rules: when it runs, and how.
    """

    digest: str
    declared: bool
    paused: bool
    rules: Rules

    @classmethod
    def parse(cls, raw: bytes) -> Record:
        """Reads a record; raises as `Rules.from_json`."""
        head = raw[:HEAD].decode("ascii")
        return cls(head[:DIGEST], head[24] == "d", head[25] == "1", Rules.from_json(raw[HEAD:]))


def make(rules: Rules, message: bytes, *, declared: bool) -> bytes:
    """Returns the record of a periodic task, for the script `schedule`."""
    text = rules.as_json()
    digest = hashlib.sha1(text + b"\0" + message, usedforsecurity=False).hexdigest()[:DIGEST]
    times = orjson.dumps([getattr(rules.times, name) for name in _TIMES])
    when = hashlib.sha1(times, usedforsecurity=False).hexdigest()[:8]
    return f"{digest}{when}{'d' if declared else 's'}0".encode() + text


def template_id(namespace: str, queue: str, entry: str) -> str:
    """Returns the id in the message of a periodic task: a UUID of version 7 in which the
    script `tick` replaces the time, which is 0, by the moment of a run."""
    text = f"{namespace}\0{queue}\0{entry}".encode()
    h = hashlib.sha256(text).hexdigest()
    return f"00000000-0000-7{h[:3]}-8{h[3:6]}-{h[6:18]}"


def lock_digest(entry: str) -> str:
    """Returns the digest of the lock that the runs of a periodic task hold, if they may not
    overlap. Its key has the namespace and the queue."""
    text = f"periodic\0{entry}".encode()
    return hashlib.sha256(text).hexdigest()[:32]


def run_id(template: str, moment: int) -> str:
    """Returns the id of the run of a moment, in ms since 1970."""
    time = f"{moment:012x}"
    return f"{time[:8]}-{time[8:]}{template[13:]}"
