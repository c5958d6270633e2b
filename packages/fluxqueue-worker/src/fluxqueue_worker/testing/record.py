"""One task of a test: its message, its place in time, and how it has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from fluxqueue.broker import Broker
from fluxqueue_core import parse_message

WAITING = "waiting"
RUNNING = "running"


class Place(NamedTuple):
    """Which queue: that of one Redis and namespace."""

    url: str
    namespace: str
    queue: str


@dataclass(eq=False)
class TaskRecord:
    """See the module's text. Times are seconds of the test's clock.

    Attributes:
        message: as Redis would have it now.
        broker: of the object that made the call.
        due: when its next attempt begins.
        expires: until when an attempt may begin; None: always.
        root: the task whose call by the test led to this one; itself, if the test called it.
        state: `waiting`, `running`, or how it has ended.
        delay: seconds from the call until its first attempt.
        eta: that moment in ms since 1970, if the call gave one.
        lock: digest and ms to live of the lock that its end frees.
        delays: seconds before each further attempt.
        live: of a root: how many tasks have not ended.
        family_attempts: of a root: how many attempts have begun.
        error: what the last attempt raised.
        is_cancelled: whether it was cancelled.
        checkpoint: the last one that it has saved, as JSON.
    """

    message: bytes
    broker: Broker
    place: Place
    due: float
    delay: float = 0.0
    eta: int | None = None
    expires: float | None = None
    root: TaskRecord = field(default=cast("TaskRecord", None), repr=False)
    state: str = WAITING
    lock: tuple[str, int, bool] | None = None
    delays: list[float] = field(default_factory=list)
    attempts: int = 0
    live: int = 0
    family_attempts: int = 0
    error: BaseException | None = None
    is_cancelled: bool = False
    checkpoint: bytes | None = None

    def __post_init__(self) -> None:
        self.root = self.root or self
        self.parts: dict[str, Any] = parse_message(self.message)
        self.root.live += 1

    @property
    def id(self) -> str:
        """The task's id."""
        return str(self.parts["task_id"])

    @property
    def name(self) -> str:
        """The task's name."""
        return str(self.parts["name"])

    @property
    def has_ended(self) -> bool:
        """Whether no attempt follows."""
        return self.state not in (WAITING, RUNNING)

    def rewrite(self, message: bytes) -> None:
        """Replaces the message."""
        self.message, self.parts = message, parse_message(message)
