"""The compiled part of `fluxqueue_core`; `mypy.stubtest` checks this file."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

from typing_extensions import disjoint_base

__all__ = [
    "DEFAULT_REDIS_URL",
    "Consumer",
    "Deadlines",
    "Event",
    "Job",
    "Producer",
    "Route",
    "Settings",
    "TimedCall",
    "__version__",
    "check_queue_name",
    "dead_reason",
    "fork_generation",
    "is_temporary",
    "key",
    "key_kinds",
    "message_field",
    "missing_right",
    "new_task_id",
    "parse_message",
    "raise_deliveries",
    "script",
    "script_keys",
    "script_names",
    "set_parent_death_signal",
]

__version__: str

DEFAULT_REDIS_URL: str

@final
class Settings:
    """Where Redis is and how long to wait for it.

    A value given here wins over the URL's query (`?timeout=2`), that over the
    variable `FLUXQUEUE_<NAME>`, that over the default. `redis_url=None` means
    `FLUXQUEUE_REDIS_URL`, or `DEFAULT_REDIS_URL` where it is not set.

    Args:
        connect_timeout: seconds for one attempt to connect, 2 by default.
        timeout: seconds for one call, with all attempts to connect, 5 by default.
        max_message_bytes: bytes that one message may have, 8 MiB by default. A
            client sends no larger one, a worker parks it.
        wait_replicas: replicas that must have an enqueued task before the call
            returns, 0 by default.
        wait_aof: whether it must be on disk, in the append-only file of the
            master and of these replicas; needs Redis 7.2. In a URL or a
            variable 0 or 1; not by default.
        wait_timeout: seconds that these may take; less than `timeout`, and by
            default 1, or half of `timeout` where that is shorter.

    Raises:
        ConfigurationError: a value is not valid; the text never has a password.
        TypeError: a value is of a wrong type.
    """

    def __new__(
        cls,
        redis_url: str | None = None,
        *,
        connect_timeout: float | None = None,
        timeout: float | None = None,
        max_message_bytes: int | None = None,
        wait_replicas: int | None = None,
        wait_aof: bool | None = None,
        wait_timeout: float | None = None,
    ) -> Settings: ...
    @property
    def url(self) -> str:
        """The URL with its passwords, without the parameters that only
        FluxQueue knows. A client library such as redis-py can read it where
        `kind` is "single"."""

    @property
    def display_url(self) -> str:
        """The URL without user, password and parameters, for logs."""

    @property
    def kind(self) -> str:
        """ "single", "sentinel" or "cluster"."""

    @property
    def nodes(self) -> list[tuple[str, int]]:
        """Host and port of the server, of the Sentinels, or of the nodes of the
        cluster that are asked first; IPv6 without brackets. Empty for a socket
        in the file system."""

    @property
    def service(self) -> str | None:
        """The name by which the Sentinels know the master."""

    @property
    def sentinel_username(self) -> str | None: ...
    @property
    def sentinel_password(self) -> str | None: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def database(self) -> int: ...
    @property
    def encrypted(self) -> bool:
        """TLS, to the servers and to Sentinels."""

    @property
    def certificates(self) -> dict[str, str]:
        """The paths given as `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile`,
        by these names."""

    @property
    def connect_timeout(self) -> float: ...
    @property
    def timeout(self) -> float: ...
    @property
    def max_message_bytes(self) -> int: ...
    @property
    def wait_replicas(self) -> int: ...
    @property
    def wait_aof(self) -> bool: ...
    @property
    def wait_timeout(self) -> float: ...

@final
class Route:
    """The part of a message that is the same for every call of one task.

    Raises:
        ConfigurationError: a name is empty, too long or has a character that
            could break a key or a log line.
    """

    def __new__(
        cls, queue: str, name: str, max_retries: int = 3, timeout: float | None = None
    ) -> Route: ...
    @property
    def queue(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def max_retries(self) -> int: ...
    @property
    def timeout(self) -> float | None:
        """Seconds that one attempt may take."""

@final
class Producer:
    """Sends tasks: one connection per thread, one per event loop.

    Creating it opens no connection. Safe with threads, `fork` and any number
    of event loops.
    """

    def __new__(cls, settings: Settings) -> Producer: ...
    def enqueue(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: bytes | None = None,
        task_id: str | None = None,
    ) -> None:
        """Puts one task into Redis, in the calling thread, without the GIL.

        Args:
            headers: a JSON object of strings, for the message as it is.
            task_id: one of `new_task_id`; a new one by default.

        Raises:
            orjson.JSONEncodeError: an argument can't be written as JSON.
            ValueError: an argument holds NaN or an infinity.
            MessageTooLarge, BrokerError, BrokerUnavailable: nothing was enqueued.
            EnqueueUncertain: the answer to the command was lost.
        """

    def enqueue_async(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: bytes | None = None,
        task_id: str | None = None,
    ) -> asyncio.Future[None]:
        """The same for the running event loop. Tasks of one turn of the
        loop leave in one write. Encoding errors are raised at once, those of the
        broker by the future. Cancelling it before it was written removes the task.

        Raises:
            RuntimeError: no event loop runs in this thread.
        """

    def enqueue_many(
        self,
        route: Route,
        calls: Iterable[tuple[Any, ...] | Mapping[str, Any]],
        check: Callable[..., object],
        stamp: Callable[[], tuple[bytes | None, str | None]] | None = None,
    ) -> int:
        """Puts one task per call into Redis, in chunks; returns their number.

        `check` is called with each call's arguments and raises where they do
        not fit; `stamp`, once per call, returns its `headers` and `task_id`.
        Every exception that leaves this method carries `enqueued`.
        """

    def enqueue_chunk_async(
        self,
        route: Route,
        calls: Sequence[tuple[Any, ...] | Mapping[str, Any]],
        check: Callable[..., object],
        stamp: Callable[[], tuple[bytes | None, str | None]] | None = None,
    ) -> asyncio.Future[None]:
        """Sends the calls as one command on the running loop's connection."""

    @property
    def max_message_bytes(self) -> int:
        """The most bytes that a message it sends may have."""

    @property
    def server(self) -> tuple[str, int | None]:
        """Host and port, or the path of a socket and None."""

    def close(self) -> None:
        """Closes this thread's connection and forgets those of closed loops.
        A later call connects again."""

@final
class Job:
    """A claimed task for a worker to run."""

    @property
    def task(self) -> Any:
        """The object that was registered under the task's name."""

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
        """None where the call had no keyword arguments."""

    @property
    def retries(self) -> int:
        """How many times the task has failed."""

    @property
    def deliveries(self) -> int:
        """How many workers were lost while they held the task."""

    @property
    def max_retries(self) -> int: ...
    @property
    def enqueued_at(self) -> int:
        """Milliseconds since 1970, from the id."""

    @property
    def settled(self) -> bool:
        """Whether it has been ended, by whatever method of the consumer."""

    @property
    def headers(self) -> dict[str, str] | None: ...
    def trace_headers(self) -> tuple[str | None, str | None, str | None] | None:
        """`traceparent`, `tracestate` and `baggage`, without making a dict of all
        headers; None where the message has none at all."""

@disjoint_base
class Event:
    """An event of a queue's consumer; each kind is a subclass with its own fields."""

    @final
    class Connected(Event):
        """A conversation has begun."""

        __match_args__ = ("consumer",)
        def __new__(cls, consumer: str) -> Event.Connected: ...
        @property
        def consumer(self) -> str: ...

    @final
    class Disconnected(Event):
        """The connection broke, or Redis refuses."""

        __match_args__ = ("error",)
        def __new__(cls, error: str) -> Event.Disconnected: ...
        @property
        def error(self) -> str: ...

    @final
    class LeaseLost(Event):
        """Other workers have this consumer's tasks now; `running` of them still run here."""

        __match_args__ = ("consumer", "running")
        def __new__(cls, consumer: str, running: int) -> Event.LeaseLost: ...
        @property
        def consumer(self) -> str: ...
        @property
        def running(self) -> int: ...

    @final
    class OutcomeVoid(Event):
        """A task ended here, but after the lease: another worker runs it again."""

        __match_args__ = ("task_id",)
        def __new__(cls, task_id: str) -> Event.OutcomeVoid: ...
        @property
        def task_id(self) -> str: ...

    @final
    class Parked(Event):
        """A message that can't run is in the dead set."""

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
        """The worker put off `count` messages that a newer version of FluxQueue has
        written."""

        __match_args__ = ("count",)
        def __new__(cls, count: int) -> Event.NewerVersion: ...
        @property
        def count(self) -> int: ...

    @final
    class Suspects(Event):
        """`count` tasks that have lost two workers wait."""

        __match_args__ = ("count",)
        def __new__(cls, count: int) -> Event.Suspects: ...
        @property
        def count(self) -> int: ...

    @final
    class NoScheduler(Event):
        """No scheduler has looked at this queue for `seconds`; None: never."""

        __match_args__ = ("seconds",)
        def __new__(cls, seconds: float | None) -> Event.NoScheduler: ...
        @property
        def seconds(self) -> float | None: ...

    @final
    class Released(Event):
        """The worker gave back `count` tasks that had not begun."""

        __match_args__ = ("count",)
        def __new__(cls, count: int) -> Event.Released: ...
        @property
        def count(self) -> int: ...

    @final
    class NotRegistered(Event):
        """Redis refuses the queue's name in the registry, so no scheduler knows the
        queue."""

        __match_args__ = ("error",)
        def __new__(cls, error: str) -> Event.NotRegistered: ...
        @property
        def error(self) -> str: ...

    @final
    class Failed(Event):
        """The thread that talks to Redis has ended because of a fault in it."""

        __match_args__ = ("error",)
        def __new__(cls, error: str) -> Event.Failed: ...
        @property
        def error(self) -> str: ...

@final
class Consumer:
    """Claims, settles and keeps the lease of a worker process, in a
    separate thread that never takes the GIL.

    Args:
        queues: names, in order of priority.
        tasks: per queue, per task name: (is it async, the object for `Job.task`).
            For a message that has a timeout, `with_timeout(seconds)` of the
            object returns the one that the job gets.
        concurrency: how many tasks may run at once.
        suspects: serve the suspects lists, for the child process that runs
            suspected tasks alone.
        save_dead: keep dead tasks in the dead set.
        lease: seconds.
        unknown_task_grace: seconds that a task with an unknown name is given
            back, before it is parked.
        max_tasks: how many tasks may begin, 1 or more; None: any number.
        max_message_bytes: a larger message is parked; None: what the settings say.
    """

    def __new__(
        cls,
        settings: Settings,
        queues: Sequence[str],
        tasks: Mapping[str, Mapping[str, tuple[bool, Any]]],
        *,
        concurrency: int = 4,
        suspects: bool = False,
        save_dead: bool = True,
        lease: float = 10.0,
        unknown_task_grace: float = 300.0,
        max_tasks: int | None = None,
        max_message_bytes: int | None = None,
    ) -> Consumer: ...
    def start(self) -> None:
        """Starts the thread; returns at once, even if Redis is down."""

    def take(self) -> Job | None:
        """Waits for the next sync task. None means that the thread must end."""

    def wants_thread(self) -> bool:
        """True once for each further thread that should call `take`; the
        caller starts it. Called by a thread that has just taken a job."""

    def give_up_threads(self, count: int) -> None:
        """Reports that `count` of the threads that `wants_thread` has asked for could not
        be started; it asks again for them."""

    def take_async(self) -> Job | None:
        """The next async task; None where there is none, or no free slot. Never
        blocks. `async_fd` stays readable until it has returned None."""

    @property
    def async_fd(self) -> int:
        """Readable when async tasks wait (for `loop.add_reader`)."""

    @property
    def event_fd(self) -> int:
        """Readable when `events` has something."""

    def events(self) -> list[tuple[str, Event]]:
        """Returns the events since the last call, each with its queue, oldest first.
        Clears `event_fd`."""

    def succeed(self, job: Job) -> bool:
        """Settles; False where the lease was lost and the outcome is void.
        A job is settled once; a second time raises RuntimeError."""

    def retry(self, job: Job, delay: float) -> bool:
        """Counts a failure and runs the task again after `delay` seconds."""

    def bury(self, job: Job, reason: str, error: str, traceback: str | None = None) -> bool:
        """Ends the task as dead (kept in the dead set if `save_dead`)."""

    def release(self, job: Job) -> bool:
        """Gives the task back to its queue; no count is touched."""

    def free_slot(self, job: Job) -> bool:
        """Gives the slot of a running job to others, since nothing can end it.
        It stays claimed and may be settled. False where it is settled already,
        or where as many slots as there are have been given away like that."""

    def drain(self) -> None:
        """Stops claiming and gives back what has not begun. `take` returns
        None from now on; running tasks may go on and settle."""

    def release_running(self) -> None:
        """Gives back what still runs; its later outcomes are void."""

    @property
    def drained(self) -> bool:
        """After `drain`: nothing is held any more and Redis knows it."""

    @property
    def exhausted(self) -> bool:
        """Whether `max_tasks` have begun: no more will, call `drain`."""

    @property
    def running(self) -> int:
        """How many tasks have begun and not ended; those whose slot was freed
        do not count."""

    @property
    def idle_for(self) -> float | None:
        """Seconds since a task last ran or a queue was connected: 0 while a task
        runs, None before the first connection. A task whose slot was freed does not
        count as running."""

    @property
    def turn_age(self) -> float:
        """Seconds since the thread last went round its loop. While it runs that
        is never more than a third of the lease, even if Redis is down."""

    @property
    def disconnected(self) -> list[str]:
        """The queues that Redis does not serve at present: no conversation is
        open, or the lease could not be renewed."""

    def stop(self) -> None:
        """Ends the thread and closes the connections, whatever is held."""

@final
class TimedCall:
    """A sync function whose calls have a deadline; see `Deadlines.guard`."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any: ...

@final
class Deadlines:
    """The deadlines of a worker's attempts, by the monotonic clock.

    Args:
        grace: seconds from its deadline after which an attempt that has not
            ended is stuck.
    """

    def __new__(cls, grace: float) -> Deadlines: ...
    def guard(self, function: Callable[..., Any], timeout: float) -> TimedCall:
        """The function, with `timeout` seconds for each call. A thread whose call
        is past its deadline gets one TaskTimeout (`PyThreadState_SetAsyncExc`),
        which is never raised outside of the function. Such a call raises
        TaskTimeout, whichever way the function ended."""

    def add(self, token: Any, timeout: float) -> int:
        """Begins an attempt that `wait` is to report; returns its id."""

    def remove(self, id: int) -> bool:
        """Ends it. True where its deadline had passed."""

    def runs(self, id: int) -> bool:
        """Whether the attempt or guarded call has not ended."""

    def wait(self) -> list[tuple[int, Any, bool]] | None:
        """Interrupts guarded calls at their deadlines until there is something to
        report: (id, token, False) at an added attempt's deadline, (id, token,
        True) when one is stuck. The token of a guarded call is its thread's
        identifier. None after `stop`. One thread calls it repeatedly."""

    def stop(self) -> None:
        """Ends `wait`."""

def key(kind: str, queue: str = "", consumer: str = "") -> str:
    """The name of a key, by the kind of docs/protocol.md ("pending", ...).

    Raises:
        ConfigurationError: no such kind, or a queue name that is not valid.
    """

def script_keys(
    name: str, queue: str, consumer: str | None = None, olds: Sequence[str] = ()
) -> list[str]:
    """The KEYS of a script, in the order in which it takes them: for a script of one
    consumer, that consumer ('' if `open` opens none); for `open`, also those it ends.

    Raises:
        ConfigurationError: no such script, a queue name that is not valid, or a
            consumer missing or not wanted.
    """

def key_kinds() -> list[str]:
    """Every kind that `key` knows."""

def script(name: str, flags: bool = True) -> str:
    """The text of a Lua script, behind the parts that it is made of. `flags=False`
    for a server older than 7, which does not know the line `#!lua`."""

def script_names() -> list[str]: ...
def check_queue_name(queue: str) -> None:
    """Raises ConfigurationError where the name is not valid."""

def parse_message(message: bytes) -> dict[str, Any]:
    """The message's parts: `task_id`, `opts` (bytes or None), `name`, `args`
    (bytes), `kwargs` (bytes or None), `retries`, `deliveries`, `max_retries`,
    `timeout` (seconds or None), `enqueued_at` (ms).

    Raises:
        MalformedMessage: what is wrong with it.
    """

def message_field(message: bytes) -> bytes | None:
    """The field under which a claimed hash holds the message, None if it does
    not begin like one. The same rule as `field` in lua/lib/message.lua."""

def raise_deliveries(message: bytes, limit: int = 3) -> tuple[bytes, bytes, bool]:
    """For the rescue: (old field, message with `deliveries` raised by one,
    whether it has reached `limit` and is dead as worker_lost). A message of a
    newer version comes back as it is, with b'' for the field.

    Raises:
        MalformedMessage: it does not begin like a message.
    """

def new_task_id() -> str:
    """A UUIDv7, for `Producer.enqueue`."""

def dead_reason(reason: str, error: str, traceback: str | None = None) -> bytes:
    """The JSON that `dead:reasons` keeps beside a dead message."""

def missing_right(error: str) -> str | None:
    """The remedy for an error of Redis (with its code) about a missing right; None for
    other errors."""

def is_temporary(text: str) -> bool:
    """Whether an error of Redis says that this server can't work at present: it
    starts, is busy, is out of memory or is a replica. The code (`LOADING`, `OOM`,
    ...) may stand anywhere in `text`."""

def fork_generation() -> int:
    """How many forks lie between this process and the one that loaded the
    module; for tests."""

def set_parent_death_signal(signal: int) -> None:
    """Asks the kernel to send this process `signal` when its parent dies
    (Linux; does nothing elsewhere)."""
