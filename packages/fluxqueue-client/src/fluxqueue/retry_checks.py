"""Which failures of a task are retried, and when: the types of these options and their checks.

Why: docs/decisions/0083-retry-on-is-a-filter-or-a-table.md
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .errors import ConfigurationError
from .option_checks import kind_of
from .retry_delays import BACKOFF
from .signatures import signature_of

if TYPE_CHECKING:
    from .retry_policy import RetryPolicy

Exceptions = type[BaseException] | tuple[type[BaseException], ...]
# `Mapping` is invariant in its keys: with `type[BaseException]`, type checkers would refuse
# a dict that they know as `dict[type[OSError], RetryPolicy]`.
RetryOn = Exceptions | Mapping[type[Any], "RetryPolicy"]
# Takes the number of the failed attempt, from 1 on, and what it raised. Returns the seconds
# until the next attempt, or None if there is none.
RetryFunction = Callable[[int, BaseException], float | None]

# Options that one of the others makes meaningless.
CONTRADICTIONS = {
    "retry_delays": (BACKOFF, "lists every delay"),
    "retry": ((*BACKOFF, "retry_delays", "jitter"), "computes every delay"),
}


def check_exceptions(name: str, value: Any) -> None:
    """Checks an exception class or a tuple of them, or None."""
    if value is None:
        return
    for each in value if isinstance(value, tuple) else (value,):
        if not _is_exception_class(each):
            raise TypeError(
                f"{name} must be an exception class or a tuple of them, not {_shown(each)}"
                f"{_advice(name, each)}"
            )


def check_retry_on(name: str, value: Any) -> None:
    """Checks exception classes, or a mapping from them to policies, or None."""
    if isinstance(value, Mapping):
        from .retry_policy import RetryPolicy  # most tasks have none
    else:
        check_exceptions(name, value)
    for kind, policy in value.items() if isinstance(value, Mapping) else ():
        if not _is_exception_class(kind):
            raise TypeError(f"the keys of {name} must be exception classes, not {_shown(kind)}")
        if not isinstance(policy, RetryPolicy):
            raise TypeError(
                f"{name}[{kind.__name__}] must be a RetryPolicy, not {_shown(policy)}; "
                f"for an exception that is not retried use no_retry_on={kind.__name__}"
            )
    if value is not None and not classes_of(value):
        raise ConfigurationError(
            f"{name} is empty, so nothing would be retried; write max_retries=0, or leave it out"
        )


def check_retry_function(name: str, value: Any) -> None:
    """Checks the function that decides about each retry, or None."""
    if value is None:
        return
    if _is_exception_class(value):
        raise TypeError(f"{name} must be a function; for classes use retry_on={value.__name__}")
    if not callable(value):
        raise TypeError(
            f"{name} must be a function of attempt and error, not {_shown(value)}; "
            f"for a number of retries use max_retries"
        )
    call = getattr(value, "__call__", None)  # noqa: B004 - of an object with this method
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(call):
        raise TypeError(f"{name} must be a plain function, because the worker does not await it")
    try:
        signature = signature_of(value)
    except (TypeError, ValueError):  # some functions of C have none
        return
    try:
        signature.bind(1, Exception())
    except TypeError as error:
        raise TypeError(
            f"{name} is called with attempt and error, which do not fit {signature}: {error}"
        ) from None


def check_contradictions(given: Collection[str], retry_on: Any) -> None:
    """Checks that no option makes another one meaningless.

    Args:
        given: the names of the options that the declaration gives.
    """
    for option, (others, does) in CONTRADICTIONS.items():
        for other in others:
            if option in given and other in given:
                raise ConfigurationError(
                    f"{option} {does}, so {other} has no effect; leave one of them out"
                )
    if "retry" in given and isinstance(retry_on, Mapping):
        raise ConfigurationError(
            "retry computes every delay, so the policies of retry_on have no effect; "
            "give retry_on a tuple of the classes, or leave one of them out"
        )


def check_overlap(retry_on: RetryOn | None, no_retry_on: Exceptions | None) -> None:
    """Checks that each class of `retry_on` is retried, although `no_retry_on` wins."""
    for kind in classes_of(retry_on):
        for never in classes_of(no_retry_on):
            if issubclass(kind, never):
                raise ConfigurationError(
                    f"retry_on has {kind.__name__}, but no_retry_on has {_covering(kind, never)} "
                    f"and wins; leave one of them out"
                )


def classes_of(value: RetryOn | None) -> tuple[type[BaseException], ...]:
    """Returns the exception classes that `retry_on` or `no_retry_on` names."""
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return tuple(value)
    return value if isinstance(value, tuple) else (value,)


def policies_of(value: RetryOn | None) -> Iterator[tuple[type[BaseException], RetryPolicy]]:
    """Returns the classes of `retry_on` with their policies, if it is a mapping."""
    return iter(value.items() if isinstance(value, Mapping) else ())


def frozen(value: RetryOn | None) -> RetryOn | None:
    """Returns a mapping as a copy that can't be changed; everything else as it is."""
    return MappingProxyType(dict(value)) if isinstance(value, Mapping) else value


def _is_exception_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _covering(kind: type, never: type) -> str:
    return "it too" if kind is never else f"its base class {never.__name__}"


def _shown(value: object) -> str:
    return value.__name__ if isinstance(value, type) else kind_of(value)


def _advice(name: str, value: object) -> str:
    if isinstance(value, list | set | frozenset):
        return f"; write {name}=(A, B)"
    return f"; write {name}={kind_of(value)}" if isinstance(value, BaseException) else ""
