"""The events that a consumer reports to its worker."""

from typing import final

from typing_extensions import disjoint_base

@disjoint_base
class Event:
    """An event of a queue's consumer. Each kind is a subclass with its own fields."""

    @final
    class Connected(Event):
        """A conversation with Redis has begun, with a new consumer."""

        __match_args__ = ("consumer",)
        def __new__(cls, consumer: str) -> Event.Connected: ...
        @property
        def consumer(self) -> str: ...

    @final
    class Disconnected(Event):
        """The connection broke, or Redis refuses to serve the consumer."""

        __match_args__ = ("error",)
        def __new__(cls, error: str) -> Event.Disconnected: ...
        @property
        def error(self) -> str: ...

    @final
    class LeaseLost(Event):
        """The lease ended, and other workers get the tasks. `running` of them still run here."""

        __match_args__ = ("consumer", "running")
        def __new__(cls, consumer: str, running: int) -> Event.LeaseLost: ...
        @property
        def consumer(self) -> str: ...
        @property
        def running(self) -> int: ...

    @final
    class OutcomeVoid(Event):
        """A task ended here after the lease. Its outcome is void: another worker runs it again."""

        __match_args__ = ("task_id",)
        def __new__(cls, task_id: str) -> Event.OutcomeVoid: ...
        @property
        def task_id(self) -> str: ...

    @final
    class Parked(Event):
        """A message can't run, and is in the dead set now."""

        __match_args__ = ("task_id", "name", "reason", "traceparent")
        def __new__(
            cls, task_id: str, name: str, reason: str, traceparent: str | None
        ) -> Event.Parked: ...
        @property
        def task_id(self) -> str: ...
        @property
        def name(self) -> str: ...
        @property
        def reason(self) -> str: ...
        @property
        def traceparent(self) -> str | None: ...

    @final
    class Expired(Event):
        """A task has expired, so the worker ended it without an attempt."""

        __match_args__ = ("task_id", "name", "traceparent")
        def __new__(cls, task_id: str, name: str, traceparent: str | None) -> Event.Expired: ...
        @property
        def task_id(self) -> str: ...
        @property
        def name(self) -> str: ...
        @property
        def traceparent(self) -> str | None: ...

    @final
    class Cancelled(Event):
        """A task was cancelled, so the worker ended it without an attempt."""

        __match_args__ = ("task_id", "name", "traceparent")
        def __new__(cls, task_id: str, name: str, traceparent: str | None) -> Event.Cancelled: ...
        @property
        def task_id(self) -> str: ...
        @property
        def name(self) -> str: ...
        @property
        def traceparent(self) -> str | None: ...

    @final
    class CancelRequested(Event):
        """A task that runs here was cancelled."""

        __match_args__ = ("task_id",)
        def __new__(cls, task_id: str) -> Event.CancelRequested: ...
        @property
        def task_id(self) -> str: ...

    @final
    class UnknownTask(Event):
        """The worker has no task of this name and gave the message back for `delay`
        seconds."""

        __match_args__ = ("task_id", "name", "delay", "traceparent")
        def __new__(
            cls, task_id: str, name: str, delay: float, traceparent: str | None
        ) -> Event.UnknownTask: ...
        @property
        def task_id(self) -> str: ...
        @property
        def name(self) -> str: ...
        @property
        def delay(self) -> float: ...
        @property
        def traceparent(self) -> str | None: ...

    @final
    class NewerVersion(Event):
        """The worker put off `count` messages that were written by a newer version of
        FluxQueue."""

        __match_args__ = ("count",)
        def __new__(cls, count: int) -> Event.NewerVersion: ...
        @property
        def count(self) -> int: ...

    @final
    class Suspects(Event):
        """`count` tasks that have lost two workers wait in the suspects list."""

        __match_args__ = ("count",)
        def __new__(cls, count: int) -> Event.Suspects: ...
        @property
        def count(self) -> int: ...

    @final
    class NoScheduler(Event):
        """No scheduler has swept this queue for `seconds` seconds. None: never."""

        __match_args__ = ("seconds",)
        def __new__(cls, seconds: float | None) -> Event.NoScheduler: ...
        @property
        def seconds(self) -> float | None: ...

    @final
    class Released(Event):
        """The worker released `count` tasks that had not begun."""

        __match_args__ = ("count",)
        def __new__(cls, count: int) -> Event.Released: ...
        @property
        def count(self) -> int: ...

    @final
    class NotRegistered(Event):
        """Redis refused to add the queue's name to the registry, so no scheduler knows
        the queue."""

        __match_args__ = ("error",)
        def __new__(cls, error: str) -> Event.NotRegistered: ...
        @property
        def error(self) -> str: ...

    @final
    class NoBlmove(Event):
        """The server does not have BLMOVE, so the worker polls."""

        __match_args__ = ("error",)
        def __new__(cls, error: str) -> Event.NoBlmove: ...
        @property
        def error(self) -> str: ...

    @final
    class Failed(Event):
        """The driver has ended because of a fault in it."""

        __match_args__ = ("error",)
        def __new__(cls, error: str) -> Event.Failed: ...
        @property
        def error(self) -> str: ...
