"""The options of a call: the type, the check and the documentation of each.

Why: docs/decisions/0091-options-of-a-call-are-a-view-of-its-task.md
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from fluxqueue_core.task_ids import read_task_id

from . import peer_names
from .errors import ConfigurationError
from .option_checks import (
    LONGEST_DELAY,
    check_delay,
    check_priority,
    check_retries,
    check_seconds,
    is_number,
    kind_of,
)
from .task_call import RIVALS, merged
from .unique import OnConflict, Unique, check_on_conflict, check_unique

if TYPE_CHECKING:
    from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# None means in a call: as without the option.
_check_timeout = check_seconds("the task's own")
_check_expiry = check_seconds("the task's own", "seconds, a timedelta, an aware datetime")
_MS = timedelta(milliseconds=1)
# The last moment that a message can carry as its expiry, in ms since 1970: in the year 2286.
_LAST_MOMENT = 9_999_999_999_999
# Telemetry adds up to three headers; a message has at most 64 with 64 KiB.
MOST_HEADERS = 32
MOST_HEADER_BYTES = 16 * 1024


class CallOptions(TypedDict, total=False):
    """The options that `Task.options` takes by keyword. None means: as without the option.

    Attributes:
        delay: seconds, or a timedelta, from the call until the task may begin, by the clock
            of Redis.
        eta: the moment from which the task may begin: an aware datetime. A past one is now.
        queue: the queue, in place of the task's.
        max_retries: as the task's option.
        timeout: as the task's option. It wins over the one that the worker's code declares.
        expires: seconds, or a timedelta, from the call until the task expires: after that no
            attempt begins. Or the moment: an aware datetime.
        priority: 0 to 9, as the task's option.
        result_ttl: as the task's option.
        unique: as the task's option; False: the call wants no lock.
        on_conflict: as the task's option.
        task_id: the task's id: a UUID, or text of 1 to 256 characters that always gives the
            same UUID.
        headers: strings by name, for `TaskMetadata.headers`: at most 32, with 16 KiB.
    """

    delay: float | timedelta | None
    eta: datetime | None
    queue: str | None
    max_retries: int | None
    timeout: float | None
    expires: float | timedelta | datetime | None
    priority: int | None
    result_ttl: float | None
    unique: Unique | None
    on_conflict: OnConflict | None
    task_id: str | UUID | None
    headers: Mapping[str, str] | None


def read_options(earlier: Mapping[str, Any], given: CallOptions) -> dict[str, Any]:
    """Returns the options of a call, checked: the earlier ones, as the new ones change them.

    `delay` is an int of milliseconds then, `eta` one of milliseconds since 1970, `expires` is in
    seconds or is `expires_at` in milliseconds since 1970, `task_id` is the id itself, and
    `headers` a copy.

    Raises:
        TypeError: an option is unknown, or a value has the wrong type.
        ConfigurationError: a value is out of range, or both `delay` and `eta` are given.
    """
    options: dict[str, Any] = {}
    removed = set()
    for name, value in given.items():
        read = _READERS.get(name)
        if read is None:
            raise TypeError(_unknown(name))
        if value is None:
            removed |= {name, *RIVALS.get(name, ())}
        elif name == "expires" and isinstance(value, datetime):
            options["expires_at"] = _read_moment(name, value)
        else:
            options[name] = read(name, value)
    if given.get("delay") is not None and given.get("eta") is not None:
        raise ConfigurationError("delay and eta are both given; give one of them")
    return merged({name: earlier[name] for name in earlier if name not in removed}, options)


def check_can_begin(options: Mapping[str, Any], of_task: float | None) -> None:
    """Checks that a call can begin before it expires.

    Args:
        options: as `read_options` returns them.
        of_task: the option `expires` of the task, in seconds.

    Raises:
        ConfigurationError: it can't: each such call would end as expired.
    """
    if "expires_at" in options:
        if options.get("eta", 0) >= options["expires_at"]:
            raise ConfigurationError(
                "eta is not before expires, so no call would begin; give a later expires"
            )
        return
    expires = options.get("expires", of_task)
    delay = options.get("delay", 0) / 1000
    if expires is not None and delay >= expires:
        raise ConfigurationError(
            f"delay is {delay:g} s, and no call begins after expires={expires:g} s; give a longer "
            f"expires"
        )


def read_span(name: str, value: object) -> int:
    """Returns seconds or a timedelta as milliseconds, rounded up.

    Raises:
        TypeError, ConfigurationError: it is neither, or out of range.
    """
    if isinstance(value, timedelta):
        if not timedelta() <= value <= timedelta(seconds=LONGEST_DELAY):
            raise ConfigurationError(f"{name} is {value}; give 0 to 365 days")
        return -(-value // _MS)
    if not is_number(value):
        raise TypeError(f"{name} must be seconds or a timedelta, not {kind_of(value)}")
    check_delay(name, value)
    return math.ceil(value * 1000)


def read_eta(name: str, value: object) -> int:
    """Returns an aware datetime as milliseconds since 1970, rounded up.

    Raises:
        TypeError, ConfigurationError: it is something else, or has no time zone.
    """
    if not isinstance(value, datetime):
        raise TypeError(f"{name} must be a datetime, not {kind_of(value)}")
    if value.utcoffset() is None:
        raise ConfigurationError(
            f"{name} is {value}, without a time zone; give an aware datetime, such as "
            f"datetime.now(UTC) + timedelta(hours=1)"
        )
    return max(-((_EPOCH - value) // _MS), 0)


def _read_moment(name: str, value: datetime) -> int:
    moment = read_eta(name, value)
    if moment > _LAST_MOMENT:
        raise ConfigurationError(
            f"{name} is {value}, too far in the future; give a moment before 2286-11-20, or "
            f"None for the task's own"
        )
    return moment


def _read_expires(name: str, value: object) -> float:
    if isinstance(value, timedelta):
        if not timedelta() < value <= timedelta(seconds=LONGEST_DELAY):
            raise ConfigurationError(
                f"{name} is {value}; give more than 0, at most 365 days, or None for the task's own"
            )
        return value.total_seconds()
    _check_expiry(name, value)
    assert isinstance(value, float | int)
    return value


def _read_queue(name: str, value: object) -> str:
    from fluxqueue_core import check_queue_name

    if not isinstance(value, str):
        raise TypeError(f"the {name} must be a str, not {kind_of(value)}")
    check_queue_name(value)
    return value


def _read_id(name: str, value: object) -> str:
    return read_task_id(value)


def read_headers(name: str, value: object) -> dict[str, str]:
    """Returns a copy of the headers.

    Raises:
        TypeError, ConfigurationError: they are not strings, or too many.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping of strings, not {kind_of(value)}")
    headers: dict[str, str] = {}
    for key, text in value.items():
        if not isinstance(key, str):
            raise TypeError(
                f"{name} must have strings only; the name {key!r} of a header is {kind_of(key)}"
            )
        if not isinstance(text, str):
            raise TypeError(
                f"{name} must have strings only; the value of header {key!r} is {kind_of(text)}"
            )
        # Of a subclass, such as StrEnum, the text: JSON's writer refuses others as a name.
        headers[str.__str__(key)] = str.__str__(text)
    try:
        size = sum(len(key.encode()) + len(text.encode()) for key, text in headers.items())
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{name} have a lone surrogate, which is not valid text; remove it"
        ) from None
    if len(headers) > MOST_HEADERS or size > MOST_HEADER_BYTES:
        raise ConfigurationError(
            f"{name} are {len(headers)} with {size} bytes; give at most {MOST_HEADERS}, with "
            f"{MOST_HEADER_BYTES} bytes of names and values together"
        )
    return headers


def _checked(check: Callable[[str, Any], None]) -> Callable[[str, Any], Any]:
    def read(name: str, value: Any) -> Any:
        check(name, value)
        return value

    return read


# Each takes the option's name and value, and raises TypeError or ConfigurationError.
_READERS: dict[str, Callable[[str, Any], Any]] = {
    "delay": read_span,
    "eta": read_eta,
    "queue": _read_queue,
    "max_retries": _checked(check_retries),
    "timeout": _checked(_check_timeout),
    "expires": _read_expires,
    "priority": _checked(check_priority),
    "result_ttl": _checked(_check_timeout),
    "unique": _checked(check_unique),
    "on_conflict": _checked(check_on_conflict),
    "task_id": _read_id,
    "headers": read_headers,
}


def _unknown(name: str) -> str:
    import difflib  # only needed after a mistake

    same = peer_names.CALL_OPTIONS.get(name)
    closest = [same] if same else difflib.get_close_matches(name, _READERS, n=1)
    advice = f"did you mean {closest[0]}?" if closest else f"it takes {', '.join(_READERS)}"
    return f"options() has no option {name!r}; {advice}"
