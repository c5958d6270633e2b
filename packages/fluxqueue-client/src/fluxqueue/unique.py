"""The options of unique tasks: their types and checks, and what a route learns of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from .errors import ConfigurationError
from .option_checks import check_seconds, kind_of

# Which calls are the same: all with equal arguments, those with equal values of these
# parameters, or those for which this function returns the same.
Unique: TypeAlias = bool | tuple[str, ...] | Callable[..., Any]
UniqueUntil: TypeAlias = Literal["done", "start"]
OnConflict: TypeAlias = Literal["skip", "raise", "replace"]

# Seconds that a lock lives without a sign of its task.
DEFAULT_TTL = 86_400.0
# These options say nothing without one of the second.
_NEED_UNIQUE = ("unique_until", "unique_ttl", "on_conflict")
_MAKE_UNIQUE = ("unique", "debounce", "throttle")


def check_unique(name: str, value: Any) -> None:
    """Refuses a value that does not say which calls are the same."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, tuple):
        if not value or not all(isinstance(each, str) for each in value):
            raise ConfigurationError(
                f"{name} is {value!r}; name one parameter or more, such as ('order_id',)"
            )
        return
    if not callable(value):
        raise TypeError(
            f"{name} must be True, a tuple of names of parameters or a function, not "
            f"{kind_of(value)}"
        )
    if inspect.iscoroutinefunction(value):
        raise TypeError(f"{name} must be a plain function, because callers do not await it")


def check_choice(*choices: str) -> Callable[[str, Any], None]:
    """Returns a check for one of these words."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, not {kind_of(value)}")
        if value not in choices:
            raise ConfigurationError(f"{name} is {value!r}; give one of {', '.join(choices)}")

    return check


check_until = check_choice("done", "start")
check_on_conflict = check_choice("skip", "raise", "replace")
# A lock that lives forever could outlive its task.
check_ttl = check_seconds(None)


def check_together(given: Collection[str], options: Mapping[str, Any]) -> None:
    """Checks that no option of a unique task is without effect, or missing.

    Args:
        given: the names of the options that the declaration gives.

    Raises:
        ConfigurationError: they do not fit together.
    """
    is_unique = any(name in given and options[name] is not False for name in _MAKE_UNIQUE)
    for name in _NEED_UNIQUE:
        if name in given and not is_unique:
            raise ConfigurationError(f"{name} says nothing without unique; give unique=True too")
    debounce, most = options.get("debounce"), options.get("max_wait")
    if debounce is not None and most is None:
        raise ConfigurationError(
            f"debounce={debounce} has no max_wait, so calls that keep coming would put the task "
            f"off forever; give max_wait too, in seconds"
        )
    if most is not None and debounce is None:
        raise ConfigurationError("max_wait says nothing without debounce; give debounce too")
    if debounce is not None and most is not None and most < debounce:
        raise ConfigurationError(
            f"max_wait is {most} s, below debounce ({debounce} s); raise the one or lower the other"
        )
    if options.get("unique") is False:
        for name in ("debounce", "throttle"):
            if name in given:
                raise ConfigurationError(f"{name} needs calls that are the same; leave unique out")
    others = {
        "throttle": ("debounce", "unique_until", "unique_ttl"),
        "debounce": ("unique_until", "on_conflict"),
    }
    for name, excluded in others.items():
        for other in excluded:
            if name in given and other in given:
                raise ConfigurationError(
                    f"{other} has no effect with {name}; leave one of them out"
                )
    if "throttle" in given and options.get("on_conflict") == "replace":
        raise ConfigurationError(
            'on_conflict="replace" can\'t be given with throttle: a throttled call is left out; '
            'give "skip" or "raise"'
        )


class LockTerms(Protocol):
    """The part of `Terms` that concerns locks. `Terms` needs this module."""

    @property
    def unique(self) -> Unique | None: ...
    @property
    def unique_until(self) -> UniqueUntil: ...
    @property
    def unique_ttl(self) -> float: ...
    @property
    def on_conflict(self) -> OnConflict: ...
    @property
    def debounce(self) -> float | None: ...
    @property
    def max_wait(self) -> float | None: ...
    @property
    def throttle(self) -> float | None: ...


class RouteLock(NamedTuple):
    """The part that the locks of all calls of a route share, as `Route` takes it."""

    conflict: str
    ttl_ms: int
    is_until_start: bool
    most_ms: int


def route_lock(terms: LockTerms) -> RouteLock | None:
    """Returns the argument `lock` of a route. None: the calls of the task want no lock."""
    if terms.unique is None:
        return None
    conflict = "replace" if terms.on_conflict == "replace" else "skip"
    seconds = terms.unique_ttl
    if terms.throttle is not None:
        conflict, seconds = "throttle", terms.throttle
    elif terms.debounce is not None:
        conflict = "debounce"
    until_start = terms.unique_until == "start"
    return RouteLock(conflict, _ms(seconds), until_start, _ms(terms.max_wait or 0))


def sent_by_route(terms: LockTerms) -> dict[str, Any]:
    """Returns the keywords by which `Route` learns of the locks: none for most tasks."""
    lock = route_lock(terms)
    if lock is None:
        return {}
    delay = {} if terms.debounce is None else {"delay": _ms(terms.debounce)}
    return {"lock": lock, **delay}


def _ms(seconds: float) -> int:
    return round(seconds * 1_000) if seconds == 0 else max(round(seconds * 1_000), 1)
