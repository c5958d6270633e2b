"""Reads the tasks of one part of a queue page by page, for a job that changes some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from . import dead
from .dead import DeadTask
from .deleting import WaitingTask
from .errors import checked
from .lines import line_of, lines
from .redis_client import RedisClient
from .scanning import scan

Part: TypeAlias = Literal["dead", "delayed", "waiting", "running"]

# Tasks and bytes of a page, about.
_PAGE = 200
_MOST_BYTES = 1_048_576
# Messages that may come to a list between a look and the call.
_MARGIN = 100
# How far from an end of a list Redis can remove a task in a short call: it compares what is before
# it, twice. Why: docs/decisions/0190-workers-end-what-is-deep-in-a-list.md
REACH = 25_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task that a job looks at.

    Attributes:
        message: None if it is missing, or too large for a page.
        dead: its entry, if it is dead.
        waiting: where it was found, if it waits or is delayed.
        depth: how many elements of its list Redis compares to change it; 0 if it is not in a
            list.
    """

    message: bytes | None
    dead: DeadTask | None = None
    waiting: WaitingTask | None = None
    depth: int = 0

    @property
    def size(self) -> int:
        """Bytes of the message."""
        return self.dead.size if self.dead is not None else len(self.message or b"")


@dataclass(frozen=True, slots=True)
class CandidatePage:
    """Some tasks of a part.

    Attributes:
        cursor: leads to the next page; None on the last one.
        index: of a list: where the page ends; a task that is removed moves it by one.
    """

    candidates: Sequence[Candidate]
    cursor: str | None
    index: int | None = None

    def after(self, removed: int) -> str | None:
        """Returns the cursor once the job has removed `removed` tasks of this page."""
        if self.cursor is None or self.index is None:
            return self.cursor
        return f"{self.cursor} {max(self.index - removed, 0)}"


def read_page(
    client: RedisClient, queue: str, part: Part, cursor: str | None, group: str | None = None
) -> CandidatePage:
    """Reads a page, which may be empty. A task that stays is on some page; one may be on two.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ValueError: the cursor is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if part == "dead":
        page = dead.read_page(client, queue, cursor, 100, group=group)
        return CandidatePage([Candidate(task.message, task) for task in page.tasks], page.cursor)
    if part == "delayed":
        return _read_zset(client, queue, "delayed", cursor or "0", None)
    if part == "running":
        return _read_consumer(client, queue, cursor)
    sources = ["prioritized", "suspects", "pending", *map(line_of, sorted(lines(client, queue)))]
    name, _, at = (cursor or f"{sources[0]} 0").partition(" ")
    # A line may be gone by now: what follows it is next.
    order = [*sources[:3], *(source for source in sources[3:] if source > name)]
    following = order[order.index(name) + 1 :] if name in sources[:3] else order[3:]
    after = f"{following[0]} 0" if following else None
    if name == "prioritized":
        return _read_zset(client, queue, name, at, after)
    return _read_list(client, queue, name, int(at), after)


def _read_zset(
    client: RedisClient, queue: str, where: str, at: str, after: str | None
) -> CandidatePage:
    words = ("ZSCAN", client.key(where, queue), int(at), "COUNT", _PAGE)
    following, found = client.command(*words)
    prefix = "" if where == "delayed" else f"{where} "
    cursor = f"{prefix}{int(following)}" if int(following) else after
    return CandidatePage(
        [Candidate(message, waiting=WaitingTask(where, message)) for message, _ in found], cursor
    )


def _read_list(
    client: RedisClient, queue: str, where: str, at: int, after: str | None
) -> CandidatePage:
    key = client.key("pending", queue).removesuffix("pending") + where
    # Some messages say how large they are, about.
    samples = [("LINDEX", key, at + offset) for offset in range(0, _PAGE, _PAGE // 5)]
    length, *seen = checked(client.commands([("LLEN", key), *samples]))
    largest = max((len(message) for message in seen if message is not None), default=0)
    if not largest:
        return CandidatePage((), after)
    size = max(min(_MOST_BYTES // largest, _PAGE), 1)
    messages = client.command("LRANGE", key, at, at + size - 1)
    candidates = []
    for index, message in enumerate(messages, at):
        from_left, from_right = index + 1, max(length - index, 1)
        # From the end that is nearer.
        within = from_left + _MARGIN if from_left <= from_right else -(from_right + _MARGIN)
        task = WaitingTask(where, message, within)
        candidates.append(Candidate(message, waiting=task, depth=abs(within)))
    if len(messages) < size:
        return CandidatePage(candidates, after)
    return CandidatePage(candidates, where, at + len(messages))


def _read_consumer(client: RedisClient, queue: str, cursor: str | None) -> CandidatePage:
    """Reads what one consumer holds; the cursor is the name of the consumer before it."""
    names = sorted(
        consumer.decode(errors="replace")
        for page in scan(client, "ZSCAN", client.key("consumers", queue))
        for consumer, score in page
        if float(score) > 0
    )
    left = [name for name in names if cursor is None or name > cursor]
    if not left:
        return CandidatePage((), None)
    pages = scan(client, "HSCAN", client.key("claimed", queue, left[0]), step=_PAGE)
    held = [Candidate(message) for page in pages for _, message in page]
    return CandidatePage(held, left[0] if len(left) > 1 else None)
