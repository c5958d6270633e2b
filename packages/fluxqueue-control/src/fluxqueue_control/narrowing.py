"""Finds the groups of dead tasks that a search has to look through, by the index of groups.

Why: docs/decisions/0189-a-search-ends-in-time.md
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from .groups import add_new, count_ungrouped, is_complete
from .redis_client import RedisClient

# More groups than these keep Redis busy longer than a look through all dead tasks.
_MOST_GROUPS = 64
# Groups whose texts are read.
_MOST_READ = 1_000
# The longest name in the text of a group, in bytes.
_NAME = 200


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of the deaths that a search looks for. A part that it does not name is None.

    Attributes:
        name: the name of the task; a `*` at the end stands for any text.
    """

    name: str | None
    reason: str | None
    exception: str | None

    def fits(self, text: bytes) -> bool:
        """Whether a group with this text may have tasks that match."""
        name, reason, exception, *_ = [*text.split(b"\n"), b"", b"", b""]
        return (
            (self.name is None or _is_named(name, self.name))
            and _is(reason, self.reason)
            and _is(exception, self.exception)
        )


def find_groups(
    client: RedisClient, queue: str, cause: Cause, seconds: float | None
) -> list[str] | None:
    """Returns the digests of the groups that have all dead tasks with this cause; None if a search
    must look through all dead tasks, because the cause names nothing, or has very many groups, or
    because the index is not complete.

    Args:
        seconds: how long to bring the index up to date, about; None: until it is.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if cause == Cause(None, None, None):
        return None
    # Redis logs each write that it refuses to a user with the right to read only.
    if not is_complete(client, queue) and not _completed(client, queue, seconds):
        return None
    texts = client.key("dead:groups", queue)
    if int(client.command("HLEN", texts)) > _MOST_READ:
        return None
    found = client.command("HGETALL", texts)
    if not isinstance(found, dict):
        found = dict(zip(found[::2], found[1::2], strict=True))
    digests = [
        digest.decode(errors="replace") for digest, text in found.items() if cause.fits(text)
    ]
    return digests if len(digests) <= _MOST_GROUPS else None


def _completed(client: RedisClient, queue: str, seconds: float | None) -> bool:
    return add_new(client, queue, seconds) and not count_ungrouped(client, queue)


def _is_named(name: bytes, wanted: str) -> bool:
    """Whether the name of a group is the beginning of what is wanted: the script that makes groups
    cuts a name at 200 bytes, and where JSON needs a backslash."""
    raw = json.dumps(wanted.removesuffix("*"), ensure_ascii=False)[1:-1].encode(errors="replace")
    stem = re.split(rb'["\\]', raw, maxsplit=1)[0][:_NAME]
    if wanted.endswith("*") and len(stem) == len(raw):
        return name.startswith(stem)
    return name == stem


def _is(found: bytes, wanted: str | None) -> bool:
    # A text that JSON escapes is not in the index.
    if wanted is None or json.dumps(wanted, ensure_ascii=False)[1:-1] != wanted:
        return True
    return found == wanted.encode(errors="replace")
