"""Ids of tasks that the caller chooses.

Why: docs/decisions/0090-an-id-is-a-uuid-and-other-text-is-hashed.md
"""

from __future__ import annotations

import re

from .errors import ConfigurationError

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
# The most characters of an id that is not a UUID.
LONGEST_ID = 256
# Part of the protocol: every client makes the same id of a text.
_NAMESPACE = bytes.fromhex("aad8b924b3c15a96be457669f336bacd")


def read_task_id(value: object) -> str:
    """Returns the id by which Redis knows the task that the caller named.

    A UUID is that UUID, in lower case. Other text is a UUID of version 5 made of it, so the
    same text always gives the same id.

    Raises:
        TypeError: it is neither a str nor a `uuid.UUID`.
        ConfigurationError: it is empty or too long, or is not valid text.
    """
    text = value if isinstance(value, str) else _of_uuid(value)
    if _UUID.fullmatch(text):
        return text.lower()
    if not 0 < len(text) <= LONGEST_ID:
        raise ConfigurationError(
            f"task_id has {len(text)} characters; give 1 to {LONGEST_ID}, or a UUID"
        )
    import hashlib  # most programs never name a task

    try:
        found = hashlib.sha1(_NAMESPACE + text.encode(), usedforsecurity=False).digest()[:16]
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"task_id {text!r} has a lone surrogate, which is not valid text; remove it"
        ) from None
    # As `uuid.uuid5` does, in a third of the time: version 5, variant of RFC 9562.
    digits = (int.from_bytes(found) & ~(0xF000C << 60) | 0x50008 << 60).to_bytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _of_uuid(value: object) -> str:
    from uuid import UUID

    if not isinstance(value, UUID):
        raise TypeError(f"task_id must be a str or a uuid.UUID, not {type(value).__name__}")
    return str(value)
