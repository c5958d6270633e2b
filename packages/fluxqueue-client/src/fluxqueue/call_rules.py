"""The rules for the calls of a unique or a limited task: the lock and the limit of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from .enqueue_interface import CallLimit, CallLock
from .limit_rule import LimitRule, limit_rule
from .lock_rule import LockRule, lock_rule
from .task_properties import TaskProperties

# The values that the functions `unique` and `limit_key` have returned for a call.
Keys: TypeAlias = tuple[Any, Any]


class CallRules(NamedTuple):
    """The rules for the calls of one task."""

    lock: LockRule | None
    limit: LimitRule | None

    @property
    def raises(self) -> bool:
        """Whether a call that finds its lock taken raises."""
        return self.lock is not None and self.lock.raises

    def keys(
        self, task: TaskProperties[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Keys | None:
        """Returns what the functions of the application return for a call. They take the
        arguments as the caller gave them. None: there is no such function.

        Raises:
            TypeError: the call does not fit the function's signature.
        """
        lock = self.lock if self.lock is not None and self.lock.is_function else None
        limit = self.limit if self.limit is not None and self.limit.is_function else None
        if lock is None and limit is None:
            return None
        task._check(*args, **kwargs)
        return (
            None if lock is None else lock.key(args, kwargs),
            None if limit is None else limit.key(args, kwargs),
        )

    def wanted(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        keys: Keys | None,
        *,
        has_chosen_id: bool,
    ) -> tuple[CallLock | None, CallLimit | None]:
        """Returns the lock and the limit of a call, of which JSON has these arguments."""
        lock = limit = None
        if self.lock is not None:
            key = keys[0] if keys and self.lock.is_function else self.lock.key(args, kwargs)
            lock = self.lock.of_key(key, has_chosen_id=has_chosen_id)
        if self.limit is not None:
            key = keys[1] if keys and self.limit.is_function else self.limit.key(args, kwargs)
            limit = self.limit.of_key(key)
        return lock, limit


def call_rules(task: TaskProperties[Any, Any], options: Mapping[str, Any]) -> CallRules | None:
    """Returns the rules for the calls of a task with these options. None: they want neither
    lock nor limit.

    Raises:
        ConfigurationError: the options do not fit together.
    """
    lock, limit = lock_rule(task, options), limit_rule(task)
    return None if lock is None and limit is None else CallRules(lock, limit)
