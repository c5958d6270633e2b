"""The lock that a call of a unique task wants: its key, and the digest of the key.

Why: docs/decisions/0132-a-key-is-json-of-the-arguments.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .arguments_by_name import ArgumentsByName, check_parameters, values_of
from .enqueue_interface import CallLock
from .errors import ConfigurationError
from .options import Terms
from .task_properties import TaskProperties
from .unique import Unique

# The options that a call may change.
CALL_TERMS = ("unique", "on_conflict")
# The text beside a lock has at most this many characters.
LONGEST_TEXT = 200


def lock_rule(task: TaskProperties[Any, Any], options: Mapping[str, Any]) -> LockRule | None:
    """Returns the rule for the calls of a task with these options. None: they want no lock.

    Raises:
        ConfigurationError: the options do not fit together.
    """
    terms = terms_of_call(task.terms, options)
    if terms.unique is None:
        return None
    if terms.debounce is not None and ("delay" in options or "eta" in options):
        raise ConfigurationError(
            f"task {task.task_name!r} has debounce, which says when it begins; leave delay and eta "
            f"out"
        )
    if terms.debounce is not None and "task_id" in options:
        raise ConfigurationError(
            f"task {task.task_name!r} has debounce, so a later call replaces it under another id; "
            f"leave task_id out"
        )
    check_parameters("unique", terms.unique, task.__signature__, task.task_name)
    return LockRule(task, terms.unique, terms.on_conflict == "raise")


def terms_of_call(terms: Terms, options: Mapping[str, Any]) -> Terms:
    """Returns the terms of a task as the options of a call change its locks."""
    changed = {name: options[name] for name in CALL_TERMS if name in options}
    if not changed:
        return terms
    if changed.get("unique") is False:
        changed |= {"debounce": None, "max_wait": None, "throttle": None, "on_conflict": "skip"}
    elif "on_conflict" in changed and terms.unique is None and not changed.get("unique"):
        raise ConfigurationError("on_conflict says nothing without unique; give unique=True too")
    elif "on_conflict" in changed and terms.debounce is not None:
        raise ConfigurationError("on_conflict has no effect with debounce; leave one of them out")
    return replace(terms, **changed)


class LockRule:
    """Makes the locks of the calls of one task.

    Args:
        unique: the option; not None.
        raises: whether a call that finds the lock taken raises.
    """

    __slots__ = ("_arguments", "_name", "_signature", "_unique", "raises")

    def __init__(self, task: TaskProperties[Any, Any], unique: Unique, raises: bool) -> None:
        self._name = task.task_name
        self._signature = task.__signature__
        self._arguments = ArgumentsByName(task)
        self._unique = unique
        self.raises = raises

    @property
    def is_function(self) -> bool:
        """Whether a function of the application makes the keys."""
        return callable(self._unique)

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Returns the key of a call: a JSON value.

        Args:
            args, kwargs: as the caller gave them, if `is_function`; else as JSON has them.

        Raises:
            TypeError: the function has returned None.
        """
        if callable(self._unique):
            key = self._unique(*args, **kwargs)
            if key is None:
                raise TypeError(
                    f"task {self._name!r}: the function unique returned None for a call; return "
                    f"what makes calls the same, such as a str, an int or a tuple"
                )
            return key
        arguments = self._arguments.of(args, kwargs)
        if self._unique is True:
            return arguments
        assert isinstance(self._unique, tuple)
        return values_of(self._signature, arguments, self._unique)

    def of_key(self, key: Any, *, has_chosen_id: bool) -> CallLock:
        """Returns the lock of a key.

        Raises:
            TypeError, ValueError: JSON can't carry it.
        """
        import hashlib  # only for unique tasks

        from .key_json import key_json, returned_key_json

        text = returned_key_json(key, "unique", self._name) if self.is_function else key_json(key)
        digest = hashlib.sha256(self._name.encode() + b"\0" + text).hexdigest()[:32]
        shown = f"{self._name} {text.decode()}"[:LONGEST_TEXT]
        return digest, shown, has_chosen_id
