"""Chooses tasks by their id, name, age, headers, an argument, and how they died."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fluxqueue_core import parse_message
from fluxqueue_core.argument_path import find, is_same
from fluxqueue_core.errors import ConfigurationError, MalformedMessage

from .dead import DeadTask
from .identifying import has_headers, has_id, has_name, read_id

# Where the id is in a message, and in the entry of a dead task.
_ID, _ENTRY_ID = slice(13, 49), slice(0, 36)


@dataclass(frozen=True, slots=True)
class Selection:
    """The properties that a task must have. One without a value is not asked for.

    Attributes:
        task: their name; a `*` at the end stands for any text.
        reason: the reason of the dead set; only a dead task has one.
        exception: the class of the exception of which a dead task died.
        error: a part of the error text of a dead task.
        group: the digest of a group of dead tasks (`groups.read_page`).
        older: seconds that must have passed since they died, or else since they were enqueued.
        younger: seconds that may have passed at most.
        argument: the path of an argument (`fluxqueue_core.argument_path.find`), such as `0` or
            `order.id`; positional arguments have no names here.
        value: what that argument is, as JSON has it.
        id: the id of the task, or the text that was its `task_id`; `019aa0c2*` stands for all ids
            that begin so.
        headers: headers of the task, each with its value.

    Raises:
        ConfigurationError: no task can have the id.
    """

    task: str | None = None
    reason: str | None = None
    exception: str | None = None
    error: str | None = None
    group: str | None = None
    older: float | None = None
    younger: float | None = None
    argument: str | None = None
    value: Any = None
    id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.id is not None:
            object.__setattr__(self, "id", read_id(self.id))

    @property
    def is_of_dead(self) -> bool:
        """Whether only a dead task can have what is wanted."""
        of_dead = (self.reason, self.exception, self.error, self.group)
        return any(wanted is not None for wanted in of_dead)

    def parts(self) -> dict[str, Any]:
        """Returns what is asked for, by name."""
        parts = {name: value for name, value in asdict(self).items() if value is not None}
        if not self.headers:
            del parts["headers"]
        return parts

    def record(self) -> str:
        """Returns the selection as JSON.

        Raises:
            ConfigurationError: the value of the argument is not JSON.
        """
        try:
            return json.dumps(self.parts())
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"the value of the argument is not JSON: {error}") from None

    @classmethod
    def parse(cls, record: str | bytes) -> Selection:
        """Reads the text of `record`.

        Raises:
            ValueError: a release that knows more conditions has written it. Without these it would
                choose more tasks.
        """
        parts = json.loads(record)
        if not isinstance(parts, dict) or parts.keys() - {field.name for field in fields(cls)}:
            raise ValueError("this release does not know all conditions of the selection")
        return cls(**parts)

    def wants(self, message: bytes | None, now: float, dead: DeadTask | None = None) -> bool:
        """Whether a task is chosen.

        Args:
            message: its message; None if it is missing, or left out because of its size.
            now: seconds since 1970, to compare ages with.
            dead: its entry, if it is dead. That it is in the group is up to the caller.
        """
        if not self._wants_death(dead):
            return False
        if self.id is not None and not has_id(_id(message, dead), self.id):
            return False
        needs: list[object] = [self.task, self.argument, self.headers or None]
        if dead is None:
            needs += [self.older, self.younger]
        parts = None
        if any(need is not None for need in needs):
            parts = _parts(message)
            if parts is None:
                return False
        if parts is not None and not has_name(str(parts["name"]), self.task):
            return False
        if self.headers and (parts is None or not has_headers(parts, self.headers)):
            return False
        if self.older is not None or self.younger is not None:
            began = dead.died_at if dead is not None else _enqueued(parts)
            if self.older is not None and now - began < self.older:
                return False
            if self.younger is not None and now - began > self.younger:
                return False
        return self.argument is None or (parts is not None and self._wants_argument(parts))

    def _wants_death(self, dead: DeadTask | None) -> bool:
        if not self.is_of_dead:
            return True
        if dead is None:
            return False
        return (
            (self.reason is None or dead.reason == self.reason)
            and (self.exception is None or dead.exception == self.exception)
            and (self.error is None or self.error in dead.error)
        )

    def _wants_argument(self, parts: Mapping[str, Any]) -> bool:
        assert self.argument is not None
        try:
            args, kwargs = json.loads(parts["args"]), json.loads(parts["kwargs"] or b"{}")
        except (ValueError, RecursionError):
            return False
        return is_same(find(self.argument, args, kwargs), self.value)


def _id(message: bytes | None, dead: DeadTask | None) -> str:
    # A dead task may lack its message.
    raw = (message or b"")[_ID] if dead is None else dead.entry[_ENTRY_ID]
    return raw.decode(errors="replace")


def _parts(message: bytes | None) -> Mapping[str, Any] | None:
    try:
        return None if message is None else parse_message(message)
    except MalformedMessage:
        return None


def _enqueued(parts: Mapping[str, Any] | None) -> float:
    assert parts is not None
    return float(parts["enqueued_at"]) / 1_000
