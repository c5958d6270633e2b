"""Reads messages of FluxQueue 0.3.2, and makes those of this release of them.

The format, as the package in the public index writes it: a MessagePack array of an id, a name,
positional and keyword arguments, the time of the call (s since 1970), failures so far, and
`max_retries`. Each of the two arguments is an array of bytes, which are MessagePack again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from fluxqueue_core import Producer, Route
from fluxqueue_core.errors import ConfigurationError, MessageTooLarge

_MEMBERS = ("an id", "a name", "positional arguments", "keyword arguments", "a time", "two counts")
_KINDS = (str, str, list, list, int, int, int)
# A client writes it into a message whose id says no time.
_TIME = re.compile(rb',"enqueued_at":\d+}$')
_ID_END = len('{"v":1,"id":"00000000-0000-0000-0000-000000000000"')


class UnreadableError(ValueError):
    """A message can't become one of this release. The text says why."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of tasks in this release. 0.3.2 writes a `-` for each `_`, so that `send-mail` may
    be a function `send_mail`.

    Attributes:
        new: by the name that 0.3.2 has written.
        underscores: whether each `-` in another name was a `_`.
    """

    new: Mapping[str, str] = field(default_factory=dict)
    underscores: bool = False

    def of(self, old: str) -> str:
        """Returns the name in this release.

        Raises:
            UnreadableError: it is not known which of two it is.
        """
        if (new := self.new.get(old)) is not None:
            return new
        found = old.replace("-", "_")
        if found == old or self.underscores:
            return found
        raise UnreadableError(
            f"0.3.2 names the task {old}, which is {found} or {old} in the code; say which one "
            f"(--name {old}={found}), or that all are with underscores (--underscores)"
        )


def converted(raw: bytes, producer: Producer, queue: str, names: Names) -> bytes:
    """Returns an old message as one of this release: the id, the arguments, the time of the call
    and the failures stay.

    Args:
        producer: makes the message; it is not used to send it.
        queue: the queue that will have it.

    Raises:
        UnreadableError: the bytes are not a message of 0.3.2, JSON can't carry an argument, or the
            name is not known.
    """
    task_id, name, args, kwargs, created, retries, max_retries = _parts(raw)
    try:
        route = Route(queue, names.of(name), namespace=producer.namespace, max_retries=max_retries)
        message = producer.message(route, tuple(args), kwargs, None, task_id)
    except (ConfigurationError, MessageTooLarge, TypeError, ValueError, OverflowError) as error:
        raise UnreadableError(str(error)) from None
    message = _TIME.sub(b',"enqueued_at":%d}' % (created * 1_000), message)
    if retries == 0:
        return message
    return b'%s,"retries":%d%s' % (message[:_ID_END], retries, message[_ID_END:])


def _parts(raw: bytes) -> tuple[str, str, list[Any], dict[str, Any], int, int, int]:
    try:
        parts = msgspec.msgpack.decode(raw)
        if not isinstance(parts, list) or list(map(type, parts)) != list(_KINDS):
            raise UnreadableError(f"it is not a message of 0.3.2, which has {', '.join(_MEMBERS)}")
        args = msgspec.msgpack.decode(bytes(parts[2]))
        kwargs = msgspec.msgpack.decode(bytes(parts[3]))
    except (msgspec.DecodeError, TypeError, UnicodeDecodeError) as error:
        raise UnreadableError(f"it is not MessagePack: {error}") from None
    except UnreadableError:
        raise
    except ValueError as error:  # from `bytes`
        raise UnreadableError(f"its arguments are not an array of bytes: {error}") from None
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise UnreadableError("its arguments are not an array and a map")
    if not (_is_uuid(parts[0]) and min(parts[4:]) >= 0 and parts[4] < 1 << 38):
        raise UnreadableError("its id is not a UUID, or a number is out of its range")
    return parts[0], parts[1], args, kwargs, parts[4], parts[5], parts[6]


def _is_uuid(text: str) -> bool:
    from uuid import UUID

    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
