"""The consumer of a worker's queues, and its attempts."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from .events import Event
from .settings import Settings

@final
class Attempt:
    """A claimed task, for the worker to run."""

    @property
    def task(self) -> Any:
        """The object that the consumer got for this task's name."""

    @property
    def task_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def args(self) -> list[Any]: ...
    @property
    def kwargs(self) -> dict[str, Any] | None:
        """The keyword arguments. None: the call had none."""

    @property
    def retries(self) -> int:
        """How many times the task has failed."""

    @property
    def deliveries(self) -> int:
        """How many workers were lost while they held this task."""

    @property
    def snoozes(self) -> int:
        """How many times the task has put itself off, up to 99,999."""

    @property
    def releases(self) -> int:
        """How many drains have cut the task off, up to 99,999."""

    @property
    def max_retries(self) -> int: ...
    @property
    def enqueued_at(self) -> int:
        """The time of the call in milliseconds since 1970, from the task id."""

    @property
    def settled(self) -> bool:
        """Whether a method of the consumer has ended the attempt."""

    @property
    def headers(self) -> dict[str, str] | None: ...
    def expire(self) -> bool:
        """Ends the attempt if its task has expired before its function was called. Returns whether
        it did: then do not call it."""

    def keep(self, value: bytes) -> None:
        """Keeps what the task returned, as JSON, for the outcome that `Consumer.succeed`
        sends. Only for a message whose outcome is kept.

        Raises:
            ValueError: it has more bytes than `max_message_bytes`.
            RuntimeError: the attempt has a value already.
        """

    def report(self, progress: bytes) -> None:
        """Notes how far the task is, for the next exchange: JSON that begins with
        `{"progress":`. Does nothing if no result of the task is kept, or when it has ended."""

    def save(self, checkpoint: bytes) -> None:
        """Notes a checkpoint of the task, as JSON, for the next exchange. Does nothing when
        the task has ended.

        Raises:
            ValueError: it has more than 64 KiB, or the message would have more than
                `max_message_bytes`.
        """

    @property
    def checkpoint(self) -> bytes | None:
        """The last checkpoint of the task, of this attempt or an earlier one, as JSON."""

    def trace_headers(self) -> tuple[str | None, str | None, str | None] | None:
        """Returns the headers `traceparent`, `tracestate` and `baggage`, without a dict
        of all headers. None: the message has no headers."""

@final
class Consumer:
    """The driver of a worker process: claims and settles tasks, and keeps the leases.

    The driver is a separate thread that never takes the GIL.

    Args:
        queues: the names of the queues, in order of priority.
        tasks: for each queue, a mapping from the name of a task to (whether it is
            async, the object for `Attempt.task`). If a message has a timeout, the attempt
            gets the object that `with_timeout(seconds, wins)` of this object returns;
            `wins` says whether the call gave the timeout.
        anywhere: the same for tasks that each queue runs unless its own mapping has
            their name.
        concurrency: how many tasks may run at once.
        suspects: whether to serve the suspects lists: for the lane, the child
            process that runs suspects one at a time.
        save_dead: whether to keep dead tasks in the dead set.
        lease: the seconds for which the consumer owns its tasks without renewal.
        unknown_task_grace: the seconds for which the worker gives a task with an
            unknown name back before it parks the task.
        max_tasks: how many tasks may begin, at least 1. None: no limit.
        max_message_bytes: the worker parks a larger message. None: the limit of
            `settings`.
        who: describes the worker to operators, 4 KiB at most. Redis keeps it as long
            as a consumer of the worker lives.
        caps: pairs of an object for `Attempt.task` and how many of its tasks may run at once
            here, at least 1. Other tasks have no cap.
    """

    def __new__(
        cls,
        settings: Settings,
        queues: Sequence[str],
        tasks: Mapping[str, Mapping[str, tuple[bool, Any]]],
        *,
        anywhere: Mapping[str, tuple[bool, Any]] | None = None,
        concurrency: int = 4,
        suspects: bool = False,
        save_dead: bool = True,
        lease: float = 10.0,
        unknown_task_grace: float = 300.0,
        max_tasks: int | None = None,
        max_message_bytes: int | None = None,
        who: str = "",
        caps: Sequence[tuple[Any, int]] | None = None,
    ) -> Consumer: ...
    def start(self) -> None:
        """Starts the driver. Returns at once, even if Redis is down."""

    def take(self) -> Attempt | None:
        """Waits for the next sync task. None: the calling thread must end."""

    def wants_thread(self) -> bool:
        """Returns True once for each further thread that should call `take`. The caller
        starts it. Call this in a thread that has just taken an attempt."""

    def give_up_threads(self, count: int) -> None:
        """Reports that `count` of the threads that `wants_thread` asked for did not
        start. `wants_thread` asks for them again."""

    def take_async(self) -> Attempt | None:
        """Returns the next async task. None: no task waits, or no slot is free. Never
        blocks. `async_fd` stays readable until this method has returned None."""

    @property
    def async_fd(self) -> int:
        """The descriptor that is readable while async tasks wait, for
        `loop.add_reader`."""

    @property
    def event_fd(self) -> int:
        """The descriptor that is readable while `events` has an event."""

    def events(self) -> list[tuple[str, Event]]:
        """Returns the events since the last call, each with its queue, oldest first.
        Clears `event_fd`."""

    def succeed(self, attempt: Attempt) -> bool:
        """Settles the attempt as a success. False: the lease was lost, and the outcome is
        void.

        Raises:
            RuntimeError: the attempt is settled already.
        """

    def retry(self, attempt: Attempt, delay: float) -> bool:
        """Settles the attempt as a failure. The task runs again after `delay` seconds."""

    def make_dead(
        self, attempt: Attempt, reason: str, error: str, traceback: str | None = None
    ) -> bool:
        """Settles the attempt as dead. If `save_dead` is on, the dead set keeps the task."""

    def snooze(self, attempt: Attempt, delay: float) -> bool:
        """Puts the task off: it runs again after `delay` seconds, and `snoozes` is one
        more. No other count changes."""

    def cancel(self, attempt: Attempt) -> bool:
        """Settles an attempt whose task was cancelled while it ran. Returns as `succeed`."""

    def release(self, attempt: Attempt) -> bool:
        """Gives back the task of an attempt that a drain cuts off. `releases` is one more,
        and no other count changes."""

    def free_slot(self, attempt: Attempt) -> bool:
        """Gives the slot of a running attempt that can't be ended to another task.

        The attempt stays claimed, and you can still settle it. False: the attempt is settled
        already, or `concurrency` slots have been given away in this way.
        """

    def drain(self) -> None:
        """Stops claiming, and releases the tasks that have not begun. From now on
        `take` returns None. Running tasks may continue and settle."""

    def release_running(self, attempts: Sequence[Attempt]) -> None:
        """Releases the tasks that still run, with `releases` raised for those of `attempts`.
        Their later outcomes are void."""

    @property
    def drained(self) -> bool:
        """Whether, after `drain`, the consumer holds no task and Redis has recorded
        that."""

    @property
    def exhausted(self) -> bool:
        """Whether `max_tasks` tasks have begun. No more will begin: call `drain`."""

    @property
    def running(self) -> int:
        """How many tasks have begun and not ended. A task whose slot was freed does not
        count."""

    @property
    def idle_for(self) -> float | None:
        """The seconds since a task last ran or a queue was connected. 0 while a task
        runs, None before the first connection. A task whose slot was freed does not
        count as running."""

    @property
    def turn_age(self) -> float:
        """The seconds since the driver last began a turn of its loop. While the driver
        runs, this is at most a third of the lease, even if Redis is down."""

    @property
    def disconnected(self) -> list[str]:
        """The queues that Redis does not serve at present: they have no open
        conversation, or the driver could not renew their lease."""

    def stop(self) -> None:
        """Ends the driver and closes the connections, even if the consumer still holds
        tasks."""
