"""`TaskHandle`: what a caller keeps of a task that is in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from .broker import Broker

R = TypeVar("R", covariant=True)


class TaskHandle(Generic[R]):
    """Names one task. `str(handle)` is the task's id.

    Two handles of one task are equal, and have one hash. A handle does not know whether its
    task exists: any process can make one from the id and the queue, with
    `FluxQueue.handle`.

    Attributes:
        id: the task's id, a UUID as text.
        queue: the queue of the task.
    """

    __slots__ = ("_broker", "id", "queue")

    id: str
    queue: str

    def __init__(self, task_id: str, queue: str, broker: Broker) -> None:
        self.id = task_id
        self.queue = queue
        # The Redis and the namespace of the task, for the methods that ask about it.
        self._broker = broker

    def __str__(self) -> str:
        return self.id

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, TaskHandle):
            return NotImplemented
        return self.id == other.id and self.queue == other.queue

    def __hash__(self) -> int:
        return hash((self.queue, self.id))

    def __repr__(self) -> str:
        return f"<TaskHandle {self.id!r} of queue {self.queue!r}>"
