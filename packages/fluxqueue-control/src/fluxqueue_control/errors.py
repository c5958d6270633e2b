"""Errors of redis-py by their meaning: Redis can't work, a hash slot moves, a command is refused.

Why: docs/decisions/0030-while-a-slot-moves-its-queues-wait.md
Why: docs/decisions/0055-a-package-for-the-control-plane.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis
from fluxqueue_core import alert_remedy, is_temporary, operators_remedy, refusal_text
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

# OpenSSL's code of an alert, or of an answer that is not TLS.
_TLS_REASON = re.compile(r"\[SSL: (?:\w+_ALERT_)?(\w+)\]")
_READ_ONLY = re.compile(r"\bREADONLY\b")
# CLUSTERDOWN with this text is about one hash slot, not about the whole cluster.
_NOT_SERVED = "hash slot not served"
# redis-py removes the code from the texts of these errors.
_CODES: dict[type[BaseException], str] = {
    NoPermissionError: "NOPERM",
    redis.AuthenticationError: "WRONGPASS",
    ReadOnlyError: "READONLY",
    OutOfMemoryError: "OOM",
    ClusterDownError: "CLUSTERDOWN",
    MasterDownError: "MASTERDOWN",
}


class BrokerNotReady(Exception):
    """Redis answered that it can't work now; the text is its own."""


class AccessDenied(BrokerNotReady):
    """Redis does not let this user in. The text begins with the code."""


# Only an operator can help, with a right or another password.
DENIED = (redis.AuthenticationError, AccessDenied)
# Redis is unreachable or can't work: try again later.
UNAVAILABLE = (redis.ConnectionError, redis.TimeoutError, OSError, BrokerNotReady)


def full_text(error: BaseException) -> str:
    """The error reply as Redis sent it: with its code, which redis-py removes."""
    code = _CODES.get(type(error))
    if code == "WRONGPASS":
        # The class stands for several codes. redis-py keeps the code since 7.1; before that, the
        # text is all there is to choose the advice by.
        has_login = "authentication required" not in str(error).lower()
        code = getattr(error, "status_code", None) or (code if has_login else "NOAUTH")
    return str(error) if code is None else f"{code} {error}"


def denied(error: redis.RedisError) -> AccessDenied | None:
    """Returns the error to raise in place of one with which Redis refuses the login, or the first
    command after it. None: it is another error."""
    if not isinstance(error, (redis.AuthenticationError, NoPermissionError)):
        return None
    found = AccessDenied(full_text(error))
    if isinstance(error, redis.AuthenticationError):
        mark(found, Sent("AUTH"))
    return found


def hash_slot_is_moving(error: BaseException) -> bool:
    """Whether the queue's hash slot is moving, or has moved, to another master. Redis
    executed nothing.

    No script can run while a hash slot moves, because its keys are on two servers. The old
    owner answers TRYAGAIN or ASK, the new owner TRYAGAIN, until the move has ended.
    """
    if isinstance(error, ClusterDownError):
        return _NOT_SERVED in str(error).lower()
    return isinstance(error, (MovedError, AskError, TryAgainError))


def is_unavailable(error: redis.RedisError) -> bool:
    """Whether an error reply says that the server as a whole can't work now. Callers
    treat it like a server that is unreachable."""
    if hash_slot_is_moving(error):
        return False
    if not isinstance(error, ResponseError):
        return True
    return is_temporary(full_text(error))


def is_read_only(error: redis.RedisError) -> bool:
    """Whether the server is a replica now, so that another one is the master."""
    return _READ_ONLY.search(full_text(error)) is not None


@dataclass(frozen=True, slots=True)
class Sent:
    """A refused command, or a refused script by its name."""

    command: str = ""
    script: str | None = None


def hide_arguments(error: redis.RedisError) -> None:
    """Takes out of the error what a server without a command quotes: its arguments, which
    for AUTH are the user and the password."""
    text, quotes, _ = str(error).partition(", with args beginning with")
    if quotes:
        error.args = (text,)


def mark(error: BaseException, sent: Sent) -> None:
    """Notes in the error what Redis refused: the text of a server often does not say it."""
    error.fluxqueue_sent = sent  # type: ignore[attr-defined]


def sent(error: BaseException) -> Sent:
    """Returns the note that `mark` has made."""
    noted: Sent = getattr(error, "fluxqueue_sent", Sent())
    return noted


def remedy(error: BaseException) -> str | None:
    """Returns the remedy for an error that lasts until an operator acts: a right or a
    command is missing, the password is wrong. None for any other error."""
    if not isinstance(error, (ResponseError, *DENIED)):
        return None
    refused = sent(error)
    return operators_remedy(full_text(error), refused.command, refused.script)


def described(error: BaseException) -> str:
    """Returns an error as people read it: what was refused, and what to do. Without the line of a
    script, which says nothing to them."""
    if isinstance(error, ResponseError):
        refused = sent(error)
        if refused.command or refused.script is not None:
            return refusal_text(full_text(error), refused.command, refused.script)
    found = remedy(error)
    return f"{full_text(error)}{f'; {found}' if found else ''}"


def explained(error: BaseException, shows_certificate: bool) -> str:
    """The text of a failure to connect. If TLS failed, also the remedy.

    Args:
        shows_certificate: whether the settings name a certificate of the client.
    """
    text = str(error)
    found = _TLS_REASON.search(text)
    remedy = found and alert_remedy(found[1].lower(), shows_certificate)
    return f"{text}: {remedy}" if remedy else text


def checked(replies: Iterable[Any]) -> list[Any]:
    """Returns the replies of a pipeline, or raises the first `ResponseError` among them."""
    found = list(replies)
    for reply in found:
        if isinstance(reply, ResponseError):
            raise reply
    return found
