"""The options of a task: the type, the check and the documentation of each.

Why two classes: docs/decisions/0051-an-option-has-one-home.md.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypedDict, TypeVar

from .errors import ConfigurationError

# The largest number that a message can carry: unsigned, with 32 bits.
MOST_RETRIES = 2**32 - 1
# A year, in seconds.
LONGEST_TIMEOUT = 365 * 86_400

# Takes the option's name and value, and raises TypeError or ConfigurationError.
Check = Callable[[str, Any], None]
Decorator = TypeVar("Decorator", bound=Callable[..., Any])


class TaskOptions(TypedDict, total=False):
    """The options that `FluxQueue.task` takes by keyword.

    Attributes:
        retry_delay: seconds before the first retry.
        retry_backoff: the factor from one delay to the next, 1 or more.
        retry_max_delay: the longest delay, in seconds.
        timeout: seconds that one attempt may take; None means no limit. At the
            timeout an async task is cancelled, and a sync task gets a `TaskTimeout`
            between two bytecodes; either counts as a failure. docs/operations.md
            says what can't be interrupted.
    """

    retry_delay: float
    retry_backoff: float
    retry_max_delay: float
    timeout: float | None


def check_retries(name: str, value: Any) -> None:
    """Checks a number of retries."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {_kind(value)}")
    if not 0 <= value <= MOST_RETRIES:
        raise ConfigurationError(f"{name} is {value}; give 0 (no retry) to {MOST_RETRIES}")


def check_number(least: float) -> Check:
    """Returns a check for finite numbers from `least` on."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError(f"{name} must be a number, not {_kind(value)}")
        # This is false for a NaN and for infinity. An int may be above every float.
        if not least <= value <= sys.float_info.max:
            raise ConfigurationError(f"{name} is {value}; give a finite number, {least} or more")

    return check


def check_timeout(name: str, value: Any) -> None:
    """Checks the seconds that an attempt may take; None means no limit."""
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of seconds or None, not {_kind(value)}")
    # This is false for a NaN too.
    if not 0 < value <= LONGEST_TIMEOUT:
        raise ConfigurationError(
            f"{name} is {value}; give seconds above 0, at most {LONGEST_TIMEOUT} (a year), "
            f"or None for no timeout"
        )


def _kind(value: object) -> str:
    return type(value).__name__


def option(default: Any, check: Check, *, sent: bool = False) -> Any:
    """Makes a field of `Terms`.

    Args:
        sent: whether messages carry the value. If so, `Route` takes it by the same name.
    """
    return field(default=default, metadata={"check": check, "sent": sent})


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms under which a task runs, as its code declares them.

    The client and the worker share this record. Retry number n waits
    `retry_delay * retry_backoff ** (n - 1)` seconds, at most `retry_max_delay`;
    the worker adds jitter. `max_retries=0` means one attempt.

    Raises:
        TypeError: a value has the wrong type.
        ConfigurationError: a value is out of range.
    """

    max_retries: int = option(MISSING, check_retries, sent=True)
    retry_delay: float = option(1.0, check_number(0))
    retry_backoff: float = option(2.0, check_number(1))
    retry_max_delay: float = option(3600.0, check_number(0))
    timeout: float | None = option(None, check_timeout, sent=True)

    def __post_init__(self) -> None:
        for each in fields(self):
            each.metadata["check"](each.name, getattr(self, each.name))
        if self.retry_delay > self.retry_max_delay:
            raise ConfigurationError(
                f"retry_delay is {self.retry_delay} s, above retry_max_delay "
                f"({self.retry_max_delay} s); lower the one or raise the other"
            )

    def sent(self) -> dict[str, Any]:
        """Returns the values that messages carry, as arguments of `Route`."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata["sent"]}


def read_terms(decorator: str, max_retries: int, options: TaskOptions) -> Terms:
    """Returns the terms that the arguments of a decorator state.

    Args:
        decorator: the decorator's name, for the message.

    Raises:
        TypeError: an option is unknown, or a value has the wrong type.
        ConfigurationError: a value is out of range.
    """
    for name in options:
        if name not in TaskOptions.__optional_keys__:
            raise TypeError(_unknown(decorator, name))
    return Terms(max_retries, **options)


def _unknown(decorator: str, name: str) -> str:
    import difflib  # only needed after a mistake

    known = ["name", "queue", *(each.name for each in fields(Terms))]
    closest = difflib.get_close_matches(name, known, n=1)
    advice = f"did you mean {closest[0]}?" if closest else f"it takes {', '.join(known)}"
    return f"{decorator}() has no option {name!r}; {advice}"


def shows_options(decorator: Decorator) -> Decorator:
    """Lists the options in a decorator's signature and docstring, for `help()`."""
    signature = inspect.signature(decorator)
    named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type
        )
        for each in fields(Terms)
        if each.name in TaskOptions.__optional_keys__
    ]
    decorator.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*named, *options]
    )
    if decorator.__doc__ and TaskOptions.__doc__:  # python -OO removes both
        _, _, lines = inspect.cleandoc(TaskOptions.__doc__).partition("Attributes:")
        decorator.__doc__ = f"{inspect.cleandoc(decorator.__doc__)}\n\nOptions:{lines}"
    return decorator
