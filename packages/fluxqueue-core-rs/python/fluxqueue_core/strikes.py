"""Strikes: an operator stops the tasks of a name, or those with a certain argument, before they
begin. Workers judge them; the record in Redis is JSON.

Why: docs/decisions/0187-workers-judge-strikes.md
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .argument_path import find, is_same
from .errors import ConfigurationError

# Bytes of a record: each exchange returns all of them.
MOST_BYTES = 512


@dataclass(frozen=True, slots=True)
class Strike:
    """A rule that stops tasks.

    Attributes:
        task: the name of the tasks.
        argument: the path of an argument, such as `order.id` (`argument_path.find`); None: all
            tasks of the name are stopped.
        value: what that argument is, as JSON has it.
    """

    task: str
    argument: str | None = None
    value: Any = None

    @property
    def id(self) -> str:
        """The name of the strike in Redis: the same rule has the same id."""
        return hashlib.sha256(self._text().encode()).hexdigest()[:16]

    def _text(self) -> str:
        rule: dict[str, Any] = {"task": self.task}
        if self.argument is not None:
            rule |= {"argument": self.argument, "value": self.value}
        return json.dumps(rule, sort_keys=True)

    def record(self) -> bytes:
        """Returns the record of the strike.

        Raises:
            ConfigurationError: it is too long, or the value is not JSON.
        """
        try:
            record = self._text().encode()
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"the value of a strike is not JSON: {error}") from None
        if len(record) > MOST_BYTES:
            raise ConfigurationError(
                f"the strike has {len(record)} bytes as JSON, more than {MOST_BYTES}; choose a "
                f"shorter value"
            )
        return record

    @classmethod
    def parse(cls, record: bytes) -> Strike | None:
        """Reads a record; None if another program has written it."""
        try:
            parts = json.loads(record)
            task, argument = parts["task"], parts.get("argument")
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return None
        if not isinstance(task, str) or not isinstance(argument, str | None):
            return None
        return cls(task, argument, parts.get("value"))

    def stops(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], names: Sequence[str] = ()
    ) -> bool:
        """Whether it stops a call. `names` are those of the parameters, if they are known."""
        if self.task != name:
            return False
        return self.argument is None or is_same(
            find(self.argument, args, kwargs, names), self.value
        )


def why_struck(
    records: Iterable[bytes],
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    names: Sequence[str] = (),
) -> str | None:
    """Returns why a call may not begin, for the dead set; None if no strike stops it."""
    for record in records:
        strike = Strike.parse(record)
        if strike is not None and strike.stops(name, args, kwargs, names):
            by = "" if strike.argument is None else f" by its argument {strike.argument!r}"
            return f"strike {strike.id} stops it{by}; lift the strike, then replay the task"
    return None
