"""The limits that the tasks of one application name, so that one name means one limit, and no
task with a limit is a callback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ConfigurationError
from .limit_checks import limit_of

if TYPE_CHECKING:
    from .limits import Limit
    from .options import Terms


class DeclaredLimits:
    """The limits of the tasks of one `FluxQueue`, by queue and name."""

    def __init__(self) -> None:
        # With the task of which it is the own limit, or None if tasks share it.
        self._found: dict[tuple[str, str], tuple[Limit, str | None]] = {}
        # Queue and name of tasks that have a limit, and of those that an `on_failure` names.
        self._limited: set[tuple[str, str]] = set()
        self._callbacks: dict[tuple[str, str], str] = {}

    def add(self, queue: str, task_name: str, terms: Terms) -> None:
        """Notes the limit of a task.

        Raises:
            ConfigurationError: another task of the queue has a limit of this name with other
                rules; or a task with a limit is the callback of one.
        """
        limit = limit_of(terms, task_name)
        self._check_callbacks(queue, task_name, terms)
        if limit is None:
            return
        owner = task_name if terms.limit is None else None
        earlier, earlier_owner = self._found.setdefault((queue, limit.name), (limit, owner))
        if owner is not None and owner == earlier_owner:
            # A module that is loaded twice declares a task again.
            self._found[queue, limit.name] = (limit, owner)
        elif owner != earlier_owner:
            raise ConfigurationError(
                f"queue {queue!r} has a task {limit.name!r} with its own limit, and a limit of "
                f"this name that tasks share; give fluxqueue.limit(...) another name"
            )
        elif earlier.rules != limit.rules:
            raise ConfigurationError(
                f"queue {queue!r} has a limit {limit.name!r} already, of {earlier.rules}, and task "
                f"{task_name!r} names one of {limit.rules}; make it once, by fluxqueue.limit(...), "
                f"or give one of them another name"
            )

    def _check_callbacks(self, queue: str, task_name: str, terms: Terms) -> None:
        """Finds callbacks that are given by their names; `check_on_failure` sees the others."""
        if terms.is_limited:
            self._limited.add((queue, task_name))
        else:
            self._limited.discard((queue, task_name))
        names = [task_name]
        if isinstance(terms.on_failure, str):
            self._callbacks[queue, terms.on_failure] = task_name
            names.append(terms.on_failure)
        for name in names:
            caller = self._callbacks.get((queue, name))
            if caller is not None and (queue, name) in self._limited:
                raise ConfigurationError(
                    f"on_failure of task {caller!r}: task {name!r} has a limit, in whose line no "
                    f"callback can wait; name a task without one, which may call {name!r}"
                )
