"""The record of a periodic task in Redis: the text that schedulers read, and the ready
message of its runs.

Why: docs/decisions/0140-a-periodic-task-is-a-ready-message.md
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from fluxqueue_core import json_codec
from fluxqueue_core.limits import key_digest

from .times import Times, is_moment

# The length of the digest of a record with its message, and of the head before the JSON.
DIGEST = 16
HEAD = 26
# Where the id is in a message.
ID = slice(13, 49)
# The most that a record may say: how many runs are caught up, and ms.
MOST_CAUGHT_UP = 100
LONGEST = 10**12
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
        overlap: while the last run has not ended, 'skip': no run is enqueued; 'queue': the next
            one waits; None: it may begin.
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
        return json_codec.dumps(kept, option=json_codec.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, text: bytes) -> Rules:
        """Reads the rules.

        Raises:
            ValueError, TypeError, KeyError: a later release has written them, or another
                program.
        """
        found: Any = json_codec.loads(text)
        if not isinstance(found, dict):
            raise TypeError("its rules are not an object")
        times = Times(**{name: found.pop(name) for name in _TIMES if name in found})
        found.setdefault("expires", None)
        rules = cls(times=times, **found)
        _check(rules)
        return rules


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


def _check(rules: Rules) -> None:
    """Refuses rules that no release writes. A scheduler reads the records of other programs too,
    and none of them may stop the rest.

    Raises:
        ValueError: a value has the wrong type, or is out of range.
    """
    times = rules.times
    if (times.cron is None) == (times.every is None):
        raise ValueError("it has neither a cron expression nor an interval, or both")
    numbers = {
        "every": (times.every, 1, LONGEST),
        "catch_up": (rules.catch_up, 0, MOST_CAUGHT_UP),
        "jitter": (rules.jitter, 0, LONGEST),
        "expires": (None if rules.expires == "next" else rules.expires, 1, LONGEST),
    }
    for name, (value, least, most) in numbers.items():
        is_absent = value is None and name in ("every", "expires")
        if not is_absent and not (type(value) is int and least <= value <= most):
            raise ValueError(f"its {name} is {value!r}")
    for name, moment in (("start", times.start), ("end", times.end)):
        if moment is not None and not (type(moment) is int and is_moment(moment)):
            raise ValueError(f"its {name} is {moment!r}")
    texts = {"task": rules.task, "tz": times.tz, "cron": times.cron or "", "overlap": rules.overlap}
    for name, text in texts.items():
        if not isinstance(text, str) and not (text is None and name == "overlap"):
            raise ValueError(f"its {name} is {text!r}")


def make(rules: Rules, message: bytes, *, declared: bool) -> bytes:
    """Returns the record of a periodic task, for the script `schedule`."""
    text = rules.as_json()
    digest = hashlib.sha1(text + b"\0" + message, usedforsecurity=False).hexdigest()[:DIGEST]
    times = json_codec.dumps([getattr(rules.times, name) for name in _TIMES])
    when = hashlib.sha1(times, usedforsecurity=False).hexdigest()[:8]
    return f"{digest}{when}{'d' if declared else 's'}0".encode() + text


def template_id(namespace: str, queue: str, periodic: str) -> str:
    """Returns the id in the message of a periodic task: a UUID of version 7 in which the
    script `tick` replaces the time, which is 0, by the moment of a run."""
    text = f"{namespace}\0{queue}\0{periodic}".encode()
    h = hashlib.sha256(text).hexdigest()
    return f"00000000-0000-7{h[:3]}-8{h[3:6]}-{h[6:18]}"


def lock_digest(periodic: str) -> str:
    """Returns the digest of the lock that the runs of a periodic task hold, if they may not
    overlap. Its key has the namespace and the queue."""
    text = f"periodic\0{periodic}".encode()
    return hashlib.sha256(text).hexdigest()[:32]


def line_digest(periodic: str) -> str:
    """Returns the digest of the limit by which the runs of a periodic task wait for each
    other. No name of a limit has a zero byte."""
    return key_digest("\0periodic", periodic.encode())


def run_id(template: str, moment: int) -> str:
    """Returns the id of the run of a moment, in ms since 1970."""
    time = f"{moment:012x}"
    return f"{time[:8]}-{time[8:]}{template[13:]}"
