"""One line of the doctor's answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from redis.exceptions import NoPermissionError, ResponseError

from fluxqueue_control.errors import full_text, sent

Status: TypeAlias = Literal["ok", "notice", "unknown", "warning", "problem"]
# From the least to the most serious.
_ORDER: tuple[Status, ...] = ("ok", "notice", "unknown", "warning", "problem")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The doctor's answer about one thing.

    Attributes:
        check: what it has looked at, such as `eviction`. docs/commands.md lists them.
        status: `ok`; `notice`: good to know; `unknown`: this user may not see it; `warning`: it
            can cost tasks or time; `problem`: it does now.
        text: what it has found.
        remedy: what to do; None if there is nothing to do.
        queue: the queue; None if it is about Redis.
        server: host and port, if there are several.
    """

    check: str
    status: Status
    text: str
    remedy: str | None = None
    queue: str | None = None
    server: str | None = None


def worst(diagnoses: Iterable[Diagnosis]) -> Status:
    """Returns the most serious status; `ok` if there are no diagnoses."""
    return max((diagnosis.status for diagnosis in diagnoses), key=_ORDER.index, default="ok")


def refused(check: str, reply: Any, right: str, queue: str | None = None) -> Diagnosis | None:
    """Returns the diagnosis if a reply is an error; None if it is not.

    Args:
        right: what an ACL needs to allow the command.
    """
    if isinstance(reply, NoPermissionError):
        command = sent(reply).command
        text = f"this user of Redis may not call {command}, so it is not known"
        return Diagnosis(check, "unknown", text, f"grant {right}", queue)
    if isinstance(reply, ResponseError):
        return Diagnosis(check, "problem", f"Redis refused it: {full_text(reply)}", None, queue)
    return None
