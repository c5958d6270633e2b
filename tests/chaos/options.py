"""The options of one call, as the client gives them and the ledger keeps them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fluxqueue_core.task_ids import read_task_id

# Seconds for which results are kept that a waiter waits for. No run takes so long, even if the
# clock of Redis jumps; and those without a waiter.
LONG, BRIEF = 86_400.0, 2.0


@dataclass(frozen=True)
class CallOptions:
    """The wishes of a client, besides the task.

    Attributes:
        priority: 0 to 9.
        delay: seconds; 0: none.
        expires: seconds; 0: never.
        result_ttl: seconds; 0: nothing is kept.
        calls_back: whether the task names a callback.
        key: tasks of one name with the same key are the same; 0: the task is not unique.
        debounce: seconds; 0: the call does not debounce.
        throttle: seconds; 0: the call does not throttle others.
        limit: which of `limits.LIMITS` the task has; 0: none.
    """

    priority: int = 0
    delay: float = 0.0
    expires: float = 0.0
    result_ttl: float = 0.0
    calls_back: bool = False
    key: int = 0
    debounce: float = 0.0
    throttle: float = 0.0
    limit: int = 0

    @property
    def is_awaited(self) -> bool:
        """Whether a waiter waits for the result."""
        return self.result_ttl == LONG

    @property
    def has_name(self) -> bool:
        """Whether the id of the task is made of its number, so that any process knows it."""
        return self.result_ttl > 0 or (self.key > 0 and not self.debounce)

    def named(self) -> dict[str, Any]:
        """Those that `Task.options` takes, without those that are not given."""
        given = asdict(self)
        # Its declaration says these of a task.
        for name in ("calls_back", "key", "debounce", "throttle", "limit"):
            del given[name]
        return {name: value for name, value in given.items() if value}

    def word(self) -> str:
        """One word for the ledger."""
        given = {name: value for name, value in asdict(self).items() if value}
        return ",".join(f"{name}={float(value):g}" for name, value in given.items()) or "-"

    @classmethod
    def read(cls, word: str) -> CallOptions:
        """Reads what `word` has returned."""
        if word == "-":
            return cls()
        given = {
            name: float(value) for name, value in (part.split("=") for part in word.split(","))
        }
        return cls(
            int(given.pop("priority", 0)),
            calls_back=bool(given.pop("calls_back", 0)),
            key=int(given.pop("key", 0)),
            limit=int(given.pop("limit", 0)),
            **given,
        )


# Of a call without options.
NONE = CallOptions()


def name_of(number: int) -> str:
    """The text from which the id of a task with a kept result is made, so that any process
    can wait for it; and that of a unique task, so that calls which it answers can be compared."""
    return f"chaos-{number}"


def id_of(number: int) -> str:
    """The id that is made of it."""
    return read_task_id(name_of(number))
