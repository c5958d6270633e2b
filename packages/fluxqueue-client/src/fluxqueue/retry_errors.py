"""`Retry`, `Snooze` and `Reject`, which a task raises to decide about its next attempt.

They are not below `FluxQueueError`: a task that catches the errors of its calls to Redis
must not catch its own decision with them.
"""

from __future__ import annotations

from datetime import timedelta

from .option_checks import check_delay, is_number, kind_of, shown_number


class Retry(Exception):
    """A task raises this to run again after `delay` seconds.

    The attempt counts as a failure: after `max_retries` retries the task is dead. The
    options `retry_on` and `no_retry_on` do not apply. `raise Retry(delay=5) from error`
    keeps the traceback of the error.

    Args:
        text: why, for the log.
        delay: seconds, or a timedelta, until the next attempt, without jitter; None means the
            delay that the task's options give.

    Raises:
        TypeError: `delay` is neither a number nor a timedelta.
        ConfigurationError: `delay` is negative, longer than a year or not finite.
    """

    # Also for a subclass that does not call `__init__`.
    delay: float | None = None

    def __init__(self, text: str = "", *, delay: float | timedelta | None = None) -> None:
        arguments = _arguments("Retry", text)
        super().__init__(*arguments)
        self.delay = None if delay is None else _seconds("delay of Retry", delay)


class Snooze(Exception):
    """A task raises this to put itself off: it runs again after `delay` seconds.

    The attempt counts as a snooze, not as a failure. A task that has put itself off
    `max_snoozes` times is dead the next time, with the reason `snoozed_too_often`.

    Args:
        text: why, for the log.
        delay: seconds, or a timedelta, until the next attempt, without jitter.

    Raises:
        TypeError: `delay` is neither a number nor a timedelta.
        ConfigurationError: `delay` is negative, longer than a year or not finite.
    """

    # For a subclass that does not call `__init__`: the first delay of the task's options.
    delay: float | None = None

    def __init__(self, text: str = "", *, delay: float | timedelta) -> None:
        arguments = _arguments("Snooze", text)
        super().__init__(*arguments)
        self.delay = _seconds("delay of Snooze", delay)


class Reject(Exception):
    """A task raises this to be dead at once, with the reason `rejected`.

    The dead set keeps the text. `raise Reject("no such customer") from error` keeps the
    traceback of the error.
    """


def _seconds(name: str, delay: float | timedelta) -> float:
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    check_delay(name, seconds)
    return seconds


def _arguments(name: str, text: object) -> list[str]:
    """Returns the arguments of the exception, whose class has this name."""
    if isinstance(text, str):
        return [text] if text else []
    if is_number(text):
        raise TypeError(
            f"{name} takes its delay by name: {name}(delay=...), not {name}({shown_number(text)})"
        )
    raise TypeError(f"the text of {name} must be a str, not {kind_of(text)}")


for _error in (Retry, Snooze, Reject):
    _error.__module__ = "fluxqueue"  # the name by which applications import it
