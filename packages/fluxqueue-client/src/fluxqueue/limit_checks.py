"""The options of limited tasks: their types and checks, and what a route learns of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .errors import ConfigurationError
from .option_checks import kind_of

if TYPE_CHECKING:
    from .limits import Limit

# Tasks of one key have the same value of a parameter, the same values of several, or a function
# returns the same for them.
LimitKey: TypeAlias = str | tuple[str, ...] | Callable[..., Any]

# A task has its own limit, by these options, or the option `limit`.
_OWN = ("concurrency", "rate", "burst")


def check_limit(name: str, value: Any) -> None:
    """Refuses what is not a `Limit`."""
    if value is None:
        return
    from .limits import Limit

    if not isinstance(value, Limit):
        raise TypeError(
            f"{name} must be what fluxqueue.limit(...) returns, or None, not {kind_of(value)}"
        )


def check_limit_key(name: str, value: Any) -> None:
    """Refuses a value that does not say which tasks share a key."""
    if value is None or (isinstance(value, str) and value):
        return
    if isinstance(value, str | tuple):
        if not value or not all(isinstance(each, str) for each in value):
            raise ConfigurationError(
                f"{name} is {value!r}; name one parameter or more, such as 'customer' or "
                f"('customer', 'region')"
            )
        return
    if not callable(value):
        raise TypeError(
            f"{name} must be the name of a parameter, a tuple of names or a function, not "
            f"{kind_of(value)}"
        )
    if inspect.iscoroutinefunction(value):
        raise TypeError(f"{name} must be a plain function, because callers do not await it")


def check_limit_options(given: AbstractSet[str]) -> None:
    """Checks that no option of a limited task is without effect.

    Args:
        given: the names of the options that the declaration gives.

    Raises:
        ConfigurationError: they do not fit together.
    """
    if "limit" in given:
        for name in _OWN:
            if name in given:
                raise ConfigurationError(
                    f"{name} and limit are both given, and a task has one limit; give {name} to "
                    f"fluxqueue.limit(...), or leave limit out"
                )
    if "burst" in given and "rate" not in given and "limit" not in given:
        raise ConfigurationError("burst says nothing without rate; give rate too, such as '100/m'")
    if "limit_key" in given and given.isdisjoint({"limit", "concurrency", "rate"}):
        raise ConfigurationError(
            "limit_key says nothing without a limit; give concurrency, rate or limit too"
        )


class LimitTerms(Protocol):
    """The part of `Terms` that concerns limits. `Terms` needs this module."""

    @property
    def concurrency(self) -> int | None: ...
    @property
    def rate(self) -> str | None: ...
    @property
    def burst(self) -> int | None: ...
    @property
    def limit(self) -> Limit | None: ...
    @property
    def limit_key(self) -> LimitKey | None: ...


def limit_of(terms: LimitTerms, task_name: str) -> Limit | None:
    """Returns the limit of a task: the one that it names, or its own, of its name."""
    if terms.limit is not None:
        return terms.limit
    if terms.concurrency is None and terms.rate is None:
        return None
    from .limits import Limit  # most tasks have none

    return Limit(task_name, terms.rate, terms.concurrency, terms.burst)


def route_limit(terms: LimitTerms, task_name: str) -> tuple[int, int, int] | None:
    """Returns the argument `limit` of a route. None: its calls have no limit."""
    limit = limit_of(terms, task_name)
    if limit is None:
        return None
    rules = limit.rules
    return rules.most, rules.period, rules.burst
