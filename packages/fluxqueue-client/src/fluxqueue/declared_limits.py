"""The limits that the tasks of one application name, so that one name means one limit."""

from __future__ import annotations

from .errors import ConfigurationError
from .limits import Limit, limit_of
from .options import Terms


class DeclaredLimits:
    """The limits of the tasks of one `FluxQueue`, by queue and name."""

    def __init__(self) -> None:
        # With the task of which it is the own limit, or None if tasks share it.
        self._found: dict[tuple[str, str], tuple[Limit, str | None]] = {}

    def add(self, queue: str, task_name: str, terms: Terms) -> None:
        """Notes the limit of a task.

        Raises:
            ConfigurationError: another task of the queue has a limit of this name with other
                rules.
        """
        limit = limit_of(terms, task_name)
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
