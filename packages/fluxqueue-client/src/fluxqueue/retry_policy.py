"""`RetryPolicy`, which says how the failures of one class of exceptions are retried.

Why: docs/decisions/0083-retry-on-is-a-filter-or-a-table.md
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from .errors import ConfigurationError
from .option_checks import Check, check_bool, check_number, check_retries
from .retry_delays import BACKOFF, Delays, check_delays, check_enough_retries


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How the failures of one class of exceptions are retried, for `retry_on`.

    None means what the task's own options say.

    Attributes:
        max_retries: how many times the task is retried, whatever its `max_retries` says.
            Failures of other classes count too.
        delay: seconds before the first retry.
        backoff: the factor from one delay to the next, 1 or more.
        max_delay: the longest delay, in seconds.
        delays: the delay of each retry, in seconds; the last one repeats.
        jitter: whether a delay is shortened at random, by up to a half.

    Raises:
        TypeError: a value has the wrong type.
        ConfigurationError: a value is out of range, or contradicts another one.
    """

    max_retries: int | None = None
    delay: float | None = None
    backoff: float | None = None
    max_delay: float | None = None
    delays: Delays | None = None
    jitter: bool | None = None

    def __post_init__(self) -> None:
        for name, check in _POLICY_CHECKS.items():
            if (value := getattr(self, name)) is not None:
                check(f"{name} of RetryPolicy", value)
        if self.max_retries == 0:
            for name in ("delay", "backoff", "max_delay", "delays", "jitter"):
                if getattr(self, name) is not None:
                    raise ConfigurationError(
                        f"max_retries=0 of RetryPolicy retries nothing, so {name} has no effect; "
                        f"leave one of them out"
                    )
        if self.delays is None:
            return
        object.__setattr__(self, "delays", tuple(self.delays))
        for name in ("delay", "backoff", "max_delay"):
            if getattr(self, name) is not None:
                raise ConfigurationError(
                    f"delays of RetryPolicy lists every delay, so {name} has no effect; "
                    f"leave one of them out"
                )
        if self.max_retries is not None:
            check_enough_retries("delays of RetryPolicy", self.delays, self.max_retries)

    def overrides(self) -> dict[str, Any]:
        """Returns the options of a task that this policy replaces, by name."""
        given = {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) is not None
        }
        replaced = {
            name if name in ("max_retries", "jitter") else f"retry_{name}": value
            for name, value in given.items()
        }
        # The task's list would hide a policy's backoff.
        if not replaced.keys().isdisjoint(BACKOFF):
            replaced["retry_delays"] = None
        return replaced


_POLICY_CHECKS: dict[str, Check] = {
    "max_retries": check_retries,
    "delay": check_number(0),
    "backoff": check_number(1),
    "max_delay": check_number(0),
    "delays": check_delays,
    "jitter": check_bool,
}
