"""The limit of the calls of one task: the keys, and their digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxqueue_core.limits import key_digest, key_text

from .arguments_by_name import ArgumentsByName, values_of
from .enqueue_interface import CallLimit
from .limit_checks import LimitKey, limit_of
from .task_properties import TaskProperties


def limit_rule(task: TaskProperties[Any, Any]) -> LimitRule | None:
    """Returns the rule for the calls of a task. None: they have no limit."""
    limit = limit_of(task.terms, task.task_name)
    return None if limit is None else LimitRule(task, limit.name, task.terms.limit_key)


class LimitRule:
    """Makes the keys of the calls of one task.

    Args:
        name: that of the limit.
        limit_key: the option. None: all calls share one key.
    """

    __slots__ = ("_arguments", "_key", "_name", "_shared", "_signature", "_task_name")

    def __init__(
        self, task: TaskProperties[Any, Any], name: str, limit_key: LimitKey | None
    ) -> None:
        self._task_name = task.task_name
        self._signature = task.__signature__
        self._arguments = ArgumentsByName(task)
        self._name = name
        self._key = limit_key
        self._shared = (key_digest(name, b""), name)

    @property
    def is_function(self) -> bool:
        """Whether a function of the application makes the keys."""
        return callable(self._key)

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Returns the key of a call: a JSON value.

        Args:
            args, kwargs: as the caller gave them, if `is_function`; else as JSON has them.

        Raises:
            TypeError: the function has returned None.
        """
        if self._key is None:
            return None
        if callable(self._key):
            key = self._key(*args, **kwargs)
            if key is None:
                raise TypeError(
                    f"task {self._task_name!r}: the function limit_key returned None for a call; "
                    f"return what the tasks of one key have in common, such as a str or an int"
                )
            return key
        names = (self._key,) if isinstance(self._key, str) else self._key
        values = values_of(self._signature, self._arguments.of(args, kwargs), names)
        return values[0] if isinstance(self._key, str) else values

    def of_key(self, key: Any) -> CallLimit:
        """Returns the limit of a call with this key.

        Raises:
            TypeError, ValueError: JSON can't carry it.
        """
        if self._key is None:
            return self._shared
        from .key_json import key_json, returned_key_json  # only for limits with keys

        text = (
            returned_key_json(key, "limit_key", self._task_name)
            if self.is_function
            else key_json(key)
        )
        shown = key if isinstance(key, str) else text.decode()
        return key_digest(self._name, text), key_text(self._name, shown)
