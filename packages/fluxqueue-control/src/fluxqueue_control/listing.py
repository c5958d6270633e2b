"""Tasks of a queue by their state, page by page, and those of them that match texts."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeAlias

from fluxqueue_core import parse_message
from fluxqueue_core.errors import MalformedMessage

from .errors import checked
from .page_position import Position
from .redis_client import RedisClient, ScriptCall
from .sources import TaskSource, sources_of
from .tasks import State

ListedState: TypeAlias = Literal["waiting", "delayed", "limited", "claimed", "dead"]
LISTED_STATES: Sequence[ListedState] = ("waiting", "delayed", "limited", "claimed", "dead")

# Tasks that one call of the script looks at, fewer in groups. It takes Redis two ms or so.
_STEP = 400
_GROUPED_STEP = 250
# Consumers of which one round trip reads the first tasks.
_CONSUMERS = 25
# Sources that a page looks at, even if its time is over.
_FEWEST_SOURCES = 50
# Tasks that a page looks at, even if its time is over.
_FEWEST = 400
# How many tasks a page looks at by default.
MOST = 100_000
_LONGEST_PAGE = 1_000
_NAME = b',"name":'

# A text that must be in the message (m), in the reason of a dead task (r) or in one of them (b);
# of several texts, one must be in it.
Criterion: TypeAlias = tuple[Literal["m", "r", "b"], Sequence[str]]


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task, as a page shows it.

    Attributes:
        state: where it is, as `tasks.LocatedTask` says it.
        message: the message, or the first 16 KiB of it. Bytes, because a malformed one may have
            any.
        size: bytes of the whole message; 0 if it is missing.
        due: when it is due, in seconds since 1970; None if it is not delayed.
        died_at: when it died, in seconds since 1970; None if it is not dead.
        entry: its entry in the dead set; None if it is not dead.
        reason: one word; empty if it is not dead, and if its reason is missing or unreadable.
        error: what went wrong; empty in the same way.
        exception: the class of the exception; empty if none was raised, or if it is not known.
        consumer: the consumer that has it; None if no worker has it.
        limit: the digest of the limit's key in whose line it waits; None if it waits in none.
    """

    state: State
    message: bytes
    size: int
    due: float | None = None
    died_at: float | None = None
    entry: bytes | None = None
    reason: str = ""
    error: str = ""
    exception: str = ""
    consumer: str | None = None
    limit: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether `message` is all of it."""
        return self.size == len(self.message)

    @property
    def task_id(self) -> str:
        """The id, or the characters in its place if the message is malformed."""
        return self.message[13:49].decode(errors="replace")

    @property
    def name(self) -> str | None:
        """The name of the task; None if the message does not say it."""
        at = self.message.find(_NAME)
        try:
            text = self.message[at + len(_NAME) :].decode(errors="replace")
            name, _ = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            return None
        return name if at >= 0 and isinstance(name, str) else None

    def parse(self) -> Mapping[str, Any] | None:
        """Returns the message's parts as `fluxqueue_core.parse_message` does; None if it was cut,
        or can't be read."""
        if not self.is_whole:
            return None
        try:
            return parse_message(self.message)
        except MalformedMessage:
            return None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some tasks of a queue.

    Attributes:
        cursor: leads to the next page; None on the last one.
        looked: how many tasks this page has looked at.
    """

    tasks: Sequence[ListedTask]
    cursor: str | None
    looked: int


def read_tasks(
    client: RedisClient,
    queue: str,
    state: ListedState,
    cursor: str | None = None,
    limit: int = 100,
    *,
    criteria: Sequence[Criterion] = (),
    groups: Sequence[str] | None = None,
    most: int = MOST,
    seconds: float | None = None,
) -> TaskPage:
    """Reads a page of tasks in one state: those that wait or are delayed in the order in which
    workers take them, those that are dead from the youngest on.

    A task that stays where it is, is on exactly one page, as far as a list allows it: if the last
    task of a page leaves, the next page may repeat some. A page can be empty even if more follow.

    Args:
        cursor: the previous page's; None for the first page.
        limit: the most tasks to return, from 1 to 1000.
        criteria: what a task must meet. Redis looks at the texts, and returns matches only.
        groups: digests of groups; of the dead tasks, it looks at those of these groups only.
        most: how many tasks to look at, about, before the page ends.
        seconds: how long to look, about; each call looks at some hundred tasks even if it is 0.

    Raises:
        ConfigurationError: the queue's name is not valid.
        ValueError: the state, the cursor or the limit is not valid.
        ResponseError: Redis refused it, such as for a key of another type.
        UNAVAILABLE: Redis is unreachable or can't work.
    """
    if state not in LISTED_STATES:
        raise ValueError(f"state {state!r} is none of {', '.join(LISTED_STATES)}")
    if not 1 <= limit <= _LONGEST_PAGE:
        raise ValueError(f"limit is not from 1 to {_LONGEST_PAGE}")
    begin = None if cursor is None else Position.parse(cursor, state)
    words = [word for of, texts in criteria for word in (of, len(texts), *texts)]
    if groups is not None:
        if not groups:
            return TaskPage((), None, 0)
        words += ["g", len(groups), *groups]
    ends = math.inf if seconds is None else time.monotonic() + seconds
    found: list[ListedTask] = []
    looked = passed = 0
    most_at_once = _STEP if groups is None else _GROUPED_STEP

    def call_for(source: TaskSource, position: Position) -> ScriptCall:
        sizes = (source.where, min(most_at_once, most - looked), limit - len(found))
        after = (position.passed, position.score, position.mark)
        return ScriptCall("search", queue, (*sizes, *after, *words))

    sources = sources_of(client, queue, state, begin)
    while some := list(islice(sources, _CONSUMERS if state == "claimed" else 1)):
        replies: list[Any] = []
        if len(some) > 1 and len(found) < limit and looked < most:
            # There may be hundreds of consumers, each with some tasks.
            replies = checked(client.calls([call_for(*each) for each in some]))
        for source, position in some:
            reply = replies.pop(0) if replies else None
            passed += 1
            while True:
                # A small queue is searched to its end, whatever the load.
                is_small = looked < _FEWEST and passed < _FEWEST_SOURCES
                is_late = not is_small and time.monotonic() > ends
                if len(found) >= limit or looked >= most or is_late:
                    return TaskPage(found, str(position), looked)
                if reply is None or len(found) + len(reply) - 4 > limit:
                    reply = client.call(call_for(source, position))
                looked += int(reply[0])
                found += [_read(source, row) for row in reply[4:]]
                if reply[1] < 0:
                    break
                position = position.moved(*reply[1:4])
                reply = None
    return TaskPage(found, None, looked)


def read_all(
    client: RedisClient, queue: str, state: ListedState, *, criteria: Sequence[Criterion] = ()
) -> Iterator[ListedTask]:
    """Yields all tasks in one state, page by page. Raises as `read_tasks`."""
    cursor: str | None = None
    while True:
        page = read_tasks(client, queue, state, cursor, criteria=criteria)
        yield from page.tasks
        cursor = page.cursor
        if cursor is None:
            return


def _read(source: TaskSource, row: Sequence[Any]) -> ListedTask:
    score, size, message, reason, entry = row
    if source.state == "dead":
        word, error, exception = _reason(reason)
        died = float(score) / 1_000
        return ListedTask(
            "dead",
            message,
            size,
            died_at=died,
            entry=entry,
            reason=word,
            error=error,
            exception=exception,
        )
    due = float(score) / 1_000 if source.state == "delayed" else None
    return ListedTask(
        source.state, message, size, due=due, consumer=source.consumer, limit=source.limit
    )


def _reason(raw: bytes) -> list[str]:
    """The reason, the error and the class of a reason's JSON, which may have been cut in its
    traceback."""
    text = raw.decode(errors="replace")
    decoder = json.JSONDecoder()
    parts = []
    for member in ('"reason":', '"error":', '"class":'):
        at = text.find(member)
        try:
            value = decoder.raw_decode(text, at + len(member))[0] if at >= 0 else ""
        except (ValueError, RecursionError):
            value = ""
        parts.append(value if isinstance(value, str) else "")
    return parts
