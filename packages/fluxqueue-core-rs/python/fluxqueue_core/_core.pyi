"""The compiled part of `fluxqueue_core`; `mypy.stubtest` checks this file."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, final

from typing_extensions import disjoint_base

# The route of a call, its arguments, headers, id, lock and limit.
_Resolved: TypeAlias = tuple[
    Route,
    tuple[Any, ...],
    dict[str, Any],
    bytes | None,
    str | None,
    tuple[str, str, bool] | None,
    tuple[str, str] | None,
]

__all__ = [
    "DEFAULT_REDIS_URL",
    "Consumer",
    "Deadlines",
    "Event",
    "Job",
    "Mailbox",
    "Producer",
    "ResultListener",
    "Route",
    "Settings",
    "TimedCall",
    "__version__",
    "alert_remedy",
    "cancel_outcome",
    "certificate_fault",
    "check_certificates",
    "check_namespace",
    "check_queue_name",
    "check_server_certificate",
    "dead_reason",
    "dead_result",
    "dial",
    "evictions",
    "failure_call",
    "fork_generation",
    "is_temporary",
    "key",
    "key_kinds",
    "message_field",
    "new_task_id",
    "operators_remedy",
    "parse_message",
    "raise_deliveries",
    "raise_in_task",
    "refusal_text",
    "requeued_message",
    "script",
    "script_keys",
    "script_names",
    "set_parent_death_signal",
]

__version__: str

DEFAULT_REDIS_URL: str

@final
class Settings:
    """The address of Redis, and how long to wait for it.

    An argument wins over the URL's query (`?timeout=2`), the query over the
    environment variable `FLUXQUEUE_<NAME>`, the variable over the default.

    Args:
        redis_url: None means the variable `FLUXQUEUE_REDIS_URL`, or
            `DEFAULT_REDIS_URL` if it is not set.
        connect_timeout: the seconds for one attempt to connect, 2 by default.
        timeout: the seconds for one call, including all attempts to connect, 5 by
            default.
        max_message_bytes: the most bytes of one message, 8 MiB by default. A client
            refuses to send a larger message, and a worker parks it.
        wait_replicas: the number of replicas that must have an enqueued task before
            the call returns, 0 by default.
        wait_aof: whether the task must also be on disk, in the append-only file of
            the master and of these replicas. Needs Redis 7.2. In a URL or a
            variable, write 0 or 1. Off by default.
        wait_timeout: the most seconds to wait for replicas and disks. Must be less
            than `timeout`. 1 by default, or half of `timeout` if that is shorter.
        namespace: the application's own keys in this Redis: 1 to 64 letters, digits and
            . _ - of ASCII. Not in the URL. None means the variable, '' the default
            namespace.

    Raises:
        ConfigurationError: a value is not valid. The text never has a password.
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
        namespace: str | None = None,
    ) -> Settings: ...
    @property
    def namespace(self) -> str:
        """The namespace of the application's keys. '' for the default one."""

    @property
    def url(self) -> str:
        """The URL with its passwords, without the parameters that only FluxQueue
        knows. If `kind` is "single", a client library such as redis-py can read it."""

    @property
    def display_url(self) -> str:
        """The URL without user, password and parameters, for logs."""

    @property
    def kind(self) -> str:
        """The kind of address: "single", "sentinel" or "cluster"."""

    @property
    def nodes(self) -> list[tuple[str, int]]:
        """The hosts and ports in the URL: the server, the Sentinels, or the nodes of
        the cluster to ask first. An IPv6 address has no brackets. Empty for a socket
        in the file system."""

    @property
    def service(self) -> str | None:
        """The name by which the Sentinels know the master. None for other addresses."""

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
        """Whether connections use TLS, to the servers and to Sentinels."""

    @property
    def certificates(self) -> dict[str, str]:
        """The paths by their parameters in the URL: `ssl_ca_certs`, `ssl_certfile`
        and `ssl_keyfile`. Has only those that the URL gives."""

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
    """The queue of a task, and the part of a message that is the same for every call.

    Args:
        namespace: that of the queue. '' for the default one.
        delay: its calls are due this many milliseconds later, by the clock of Redis.
        at: its calls are due at this time, in milliseconds since 1970.
        limit: the numbers of the limit that its calls have: how many run at once (0: any
            number), in which time one begins, in microseconds (0: at any rate), and how many
            may begin at once after a while without any (1 or more).
        terms: the options of the task that its messages carry, as
            `fluxqueue.options.Terms.sent` returns them, or options of a call: `priority`
            (0 to 9), `expires` (seconds from the call on), `expires_at` (ms since 1970,
            which replaces `expires`), `result_ttl` (seconds), `on_failure` (the member of the
            message, as text). A term that is left out has
            its default.

    Raises:
        ConfigurationError: a name is empty, too long or has a character that could
            break a key or a log line; or a term is out of its range.
        TypeError: there is no such term, or it has the wrong type.
        ValueError: both `delay` and `at` are given, or a number is out of its range.

    Why: docs/decisions/0058-a-route-takes-terms-by-keyword.md
    """

    def __new__(
        cls,
        queue: str,
        name: str,
        *,
        namespace: str = "",
        delay: int | None = None,
        at: int | None = None,
        lock: tuple[str, int, bool, int] | None = None,
        limit: tuple[int, int, int] | None = None,
        **terms: Any,
    ) -> Route: ...
    @property
    def queue(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def scripted(self) -> bool:
        """Whether the script `enqueue` writes its calls. Those of other routes are pushed."""

    @property
    def terms(self) -> dict[str, Any]:
        """All terms, by name."""

@disjoint_base
class Producer:
    """Sends tasks to Redis, from any number of threads, event loops and forks.

    Creating a producer opens no connection. Each thread and each event loop has its
    own connection: one, or in a cluster several.

    Why: docs/decisions/0028-a-connection-for-each-slot-of-a-loop.md
    """

    def __new__(cls, settings: Settings) -> Producer: ...
    def enqueue(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: bytes | None = None,
        task_id: str | None = None,
        lock: tuple[str, str, bool] | None = None,
        limit: tuple[str, str] | None = None,
    ) -> str | None:
        """Puts one task into Redis. Blocks the calling thread, and releases the GIL.

        Returns None, or the id of the task that has the lock: then this one is not enqueued.

        Args:
            headers: a JSON object of strings, which goes into the message unchanged.
            task_id: an id from `new_task_id`. None: the producer makes one.
            lock: the lock that the call wants: its digest (32 hexadecimal digits), text for
                people, and whether the caller chose the id. The route has locks too.
            limit: the key of the call's limit: its digest (32 hexadecimal digits, of which the
                first 16 are those of the limit's name), and text for people. The route has
                the limit's numbers.

        Raises:
            orjson.JSONEncodeError: an argument can't be written as JSON.
            ValueError: an argument contains NaN or an infinity, `headers` are not
                a JSON object of strings within 64 KiB, or `task_id` is not a UUID in lower
                case with hyphens.
            MessageTooLarge, BrokerError, BrokerUnavailable: nothing was enqueued.
            EnqueueUncertain: the reply to the command was lost.
        """

    def enqueue_async(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: bytes | None = None,
        task_id: str | None = None,
        result: Any = None,
        lock: tuple[str, str, bool] | None = None,
        limit: tuple[str, str] | None = None,
    ) -> asyncio.Future[Any]:
        """Puts one task into Redis on the connection of the running event loop.

        The loop writes all tasks of one turn at once. The call raises the errors of
        the arguments, as `enqueue` does. The future raises the errors of Redis.
        Cancelling the future before the message is written removes the task.

        Args:
            result: the result of the future once Redis has the task. With a lock it is a
                function of the id of the task that has it, or None; the future has what it
                returns or raises.

        Raises:
            RuntimeError: no event loop runs in this thread.
        """

    def enqueue_many(
        self,
        route: Route,
        calls: Iterable[Any],
        check: Callable[..., object],
        per_call: Callable[[bytes | None, str | None], tuple[bytes | None, str | None]]
        | None = None,
        *,
        resolve: Callable[[Any], _Resolved] | None = None,
        headers: bytes | None = None,
        spread: tuple[int, int, int] | None = None,
        verdicts: bool = False,
    ) -> Any:
        """Puts one task per call into Redis, in chunks. Returns the number of tasks.

        Every exception that leaves this method has the attribute `enqueued`: the
        number of tasks that are in Redis nevertheless.

        Args:
            check: called with the arguments of each call. Raises if they don't fit.
            calls: tuples of positional or mappings of keyword arguments, and objects that
                `resolve` takes apart.
            per_call: called once per call, with its headers and its id if the caller gave
                them. Returns those of the message; None for no headers and a new id.
            resolve: returns route, positional and keyword arguments, headers, id, lock and
                limit of a call. The route is one of the same task and queue. `check` is not called.
            headers: those of the calls that `resolve` does not take apart.
            spread: the milliseconds over which the calls are spread, the number of all
                calls, and the number of the first one here. The route is scripted.
            verdicts: returns a list with a pair for each call instead: its id, and None or
                the id of the task that has its lock.
        """

    def enqueue_chunk_async(
        self,
        route: Route,
        calls: Sequence[Any],
        check: Callable[..., object],
        per_call: Callable[[bytes | None, str | None], tuple[bytes | None, str | None]]
        | None = None,
        *,
        resolve: Callable[[Any], _Resolved] | None = None,
        headers: bytes | None = None,
        spread: tuple[int, int, int] | None = None,
        verdicts: bool = False,
    ) -> asyncio.Future[Any]:
        """Sends the calls as one command on the connection of the running event loop.
        The other arguments are those of `enqueue_many`. The future has the verdicts, or None."""

    def cancel(self, queue: str, task_id: str) -> str:
        """Cancels a task. Blocks the calling thread, and releases the GIL.

        Returns:
            `cancelled`, `already_done` or `requested`; `lua/cancel.lua` has their meaning.

        Raises:
            ConfigurationError: the name of the queue is not valid.
            ValueError: it is not a task's id.
            BrokerError, BrokerUnavailable: Redis refused, or was not reachable in time. The
                task may be cancelled; a second call does no harm.
        """

    def limit_rules(self, queue: str, arguments: Sequence[bytes]) -> list[str]:
        """Calls the script `limit_rules`. Blocks the calling thread, and releases the GIL.

        Args:
            arguments: those of `lua/limit_rules.lua`.

        Returns:
            one word for each limit; `lua/limit_rules.lua` has their meaning.

        Raises:
            ConfigurationError: the name of the queue is not valid.
            BrokerError, BrokerUnavailable: Redis refused, or was not reachable in time. The
                change may be made; a second call does no harm.
        """

    def schedule(self, queue: str, arguments: Sequence[bytes]) -> list[str]:
        """Calls the script `schedule`. Blocks the calling thread, and releases the GIL.

        Args:
            arguments: those of `lua/schedule.lua`.

        Returns:
            one word for each entry; `lua/schedule.lua` has their meaning.

        Raises:
            ConfigurationError: the name of the queue is not valid.
            BrokerError, BrokerUnavailable: Redis refused, or was not reachable in time. The
                change may be made; a second call does no harm.
        """

    def message(
        self,
        route: Route,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        headers: bytes | None = None,
        task_id: str | None = None,
        lock: tuple[str, str, bool] | None = None,
        limit: tuple[str, str] | None = None,
    ) -> bytes:
        """Returns the message of a call, which is not sent. The arguments are those of
        `enqueue`.

        Raises:
            orjson.JSONEncodeError, ValueError, MessageTooLarge: as `enqueue`.
        """

    @property
    def max_message_bytes(self) -> int:
        """The most bytes of a message that this producer sends."""

    @property
    def server(self) -> tuple[str, int | None]:
        """The first host and port of the URL, or the path of a socket and None."""

    @property
    def namespace(self) -> str:
        """The namespace of the settings. '' for the default one."""

    def close(self) -> None:
        """Closes the connections of this thread, and forgets those of closed event
        loops. A later call connects again."""

@final
class Job:
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
        """Whether a method of the consumer has ended the job."""

    @property
    def headers(self) -> dict[str, str] | None: ...
    def expire(self) -> bool:
        """Ends the job if its task has expired before its function was called. Returns whether
        it did: then do not call it."""

    def keep(self, value: bytes) -> None:
        """Keeps what the task returned, as JSON, for the outcome that `Consumer.succeed`
        sends. Only for a message whose outcome is kept.

        Raises:
            ValueError: it has more bytes than `max_message_bytes`.
            RuntimeError: the job has a value already.
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
class ResultListener:
    """Waits for the results of tasks, with one thread and one connection for each master.
    Both end 10 s after the last wait.

    Attributes:
        waits: how many tasks are waited for.
        problem: why results may not arrive now. None: Redis is connected.
        forked: whether a fork has made this process after the object. Its waits are the
            parent's: make another one.
    """

    def __new__(cls, settings: Settings) -> ResultListener: ...
    @property
    def waits(self) -> int: ...
    @property
    def problem(self) -> str | None: ...
    @property
    def forked(self) -> bool: ...
    def mailbox(self, has_fd: bool = False) -> Mailbox:
        """Makes a mailbox. `has_fd`: an event loop polls it."""

@final
class Mailbox:
    """Where the results for one thread or event loop arrive. Its waits end with it.

    Attributes:
        fd: readable while results are here; None without `has_fd`.
        problem: that of its listener.
    """

    @property
    def fd(self) -> int | None: ...
    @property
    def problem(self) -> str | None: ...
    def watch(
        self,
        namespace: str,
        queue: str,
        task_ids: Sequence[str],
        first: int,
        until: str = "outcome",
    ) -> None:
        """Begins to wait for tasks. The first one's token is `first`, the next ones follow.
        `until` is 'outcome'; 'look': one look is enough, and finds an outcome, a report of
        progress or b''; 'reported': reports of progress arrive until the outcome does.

        Raises:
            ConfigurationError: the name of the queue or of the namespace is not valid.
            ValueError: an id is not a UUID in lower case, or `until` is something else.
            BrokerUnavailable: no thread could be started.
        """

    def collect(self) -> list[tuple[int, bytes | None, Exception | None]]:
        """Takes what has arrived: token, result as JSON, error. The wait has ended,
        unless the result is a report of progress and the wait is for reports."""

    def wait(self, timeout: float) -> bool:
        """Blocks up to `timeout` seconds, without the GIL, until a result is here."""

    def forget(self, token: int) -> None:
        """Ends a wait."""

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

@final
class Consumer:
    """The driver of a worker process: claims and settles tasks, and keeps the leases.

    The driver is a separate thread that never takes the GIL.

    Args:
        queues: the names of the queues, in order of priority.
        tasks: for each queue, a mapping from the name of a task to (whether it is
            async, the object for `Job.task`). If a message has a timeout, the job
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
        caps: pairs of an object for `Job.task` and how many of its tasks may run at once
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

    def take(self) -> Job | None:
        """Waits for the next sync task. None: the calling thread must end."""

    def wants_thread(self) -> bool:
        """Returns True once for each further thread that should call `take`. The caller
        starts it. Call this in a thread that has just taken a job."""

    def give_up_threads(self, count: int) -> None:
        """Reports that `count` of the threads that `wants_thread` asked for did not
        start. `wants_thread` asks for them again."""

    def take_async(self) -> Job | None:
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

    def succeed(self, job: Job) -> bool:
        """Settles the job as a success. False: the lease was lost, and the outcome is
        void.

        Raises:
            RuntimeError: the job is settled already.
        """

    def retry(self, job: Job, delay: float) -> bool:
        """Settles the job as a failure. The task runs again after `delay` seconds."""

    def make_dead(self, job: Job, reason: str, error: str, traceback: str | None = None) -> bool:
        """Settles the job as dead. If `save_dead` is on, the dead set keeps the task."""

    def snooze(self, job: Job, delay: float) -> bool:
        """Puts the task off: it runs again after `delay` seconds, and `snoozes` is one
        more. No other count changes."""

    def cancel(self, job: Job) -> bool:
        """Settles a job whose task was cancelled while it ran. Returns as `succeed`."""

    def release(self, job: Job) -> bool:
        """Gives back the task of an attempt that a drain cuts off. `releases` is one more,
        and no other count changes."""

    def free_slot(self, job: Job) -> bool:
        """Gives the slot of a running job that can't be ended to another task.

        The job stays claimed, and you can still settle it. False: the job is settled
        already, or `concurrency` slots have been given away in this way.
        """

    def drain(self) -> None:
        """Stops claiming, and releases the tasks that have not begun. From now on
        `take` returns None. Running tasks may continue and settle."""

    def release_running(self, jobs: Sequence[Job]) -> None:
        """Releases the tasks that still run, with `releases` raised for those of `jobs`.
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

@final
class TimedCall:
    """A sync function whose calls have a deadline. `Deadlines.guard` makes it."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any: ...

@final
class Deadlines:
    """The deadlines of a worker's attempts, by the monotonic clock.

    Why: docs/decisions/0031-a-timeout-ends-at-the-next-bytecode.md

    Args:
        grace: an attempt is stuck if it has not ended `grace` seconds after its
            deadline.
    """

    def __new__(cls, grace: float) -> Deadlines: ...
    def guard(self, function: Callable[..., Any], timeout: float) -> TimedCall:
        """Returns the function with a limit of `timeout` seconds for each call.

        A thread whose call is past its deadline gets one TaskTimeout, by
        `PyThreadState_SetAsyncExc`. It is never raised outside the function. The call
        raises TaskTimeout even if the function returned or raised another error.
        """

    def add(self, token: Any, timeout: float) -> int:
        """Begins an attempt, and returns its id. `wait` reports the attempt."""

    def remove(self, id: int) -> bool:
        """Ends an attempt. Returns whether its deadline had passed."""

    def runs(self, id: int) -> bool:
        """Returns whether the attempt or the guarded call still runs."""

    def wait(self) -> list[tuple[int, Any, bool]] | None:
        """Interrupts guarded calls at their deadlines, until there is something to
        report. One thread calls this repeatedly.

        Returns (id, token, False) at the deadline of an added attempt, and (id, token,
        True) when an attempt or a guarded call is stuck. The token of a guarded call is
        the identifier of its thread. None: `stop` was called.
        """

    def stop(self) -> None:
        """Makes `wait` return None."""

def key(kind: str, queue: str = "", consumer: str = "", namespace: str = "") -> str:
    """Returns the name of a key, by its kind in docs/protocol.md ("pending", ...).

    Raises:
        ConfigurationError: there is no such kind, or the name of the queue or of the
            namespace is not valid.
    """

def script_keys(
    name: str,
    queue: str,
    consumer: str | None = None,
    olds: Sequence[str] = (),
    namespace: str = "",
) -> list[str]:
    """Returns the KEYS of a script, in the order in which it takes them.

    Args:
        consumer: the consumer of a script that takes one. '' if `open` opens none.
        olds: the consumers that `open` ends.

    Raises:
        ConfigurationError: there is no such script, the name of the queue or of the
            namespace is not valid, `consumer` is missing, or the script takes no such argument.
    """

def key_kinds() -> list[str]:
    """Returns every kind that `key` knows."""

def raise_in_task(
    runner: object,
    job: Job,
    thread: int,
    base: object,
    wrappers: set[object],
    folder: str,
) -> bool:
    """Makes a thread raise `CancelRequested` in its task, if it is in the task's code now.

    Args:
        runner: has the attribute `job`, which must be this one.
        thread: `threading.get_ident()` of the thread.
        base: the code object of the function that calls the task.
        wrappers: the code objects of the worker's functions between `base` and the task.
        folder: all other code below it is the worker's own.

    Returns:
        Whether it will raise. False: try again later.
    """

def script(name: str, flags: bool = True) -> str:
    """Returns the text of a Lua script, including the parts of `lua/lib/` before it.
    Give `flags=False` for a server before Redis 7, which rejects the line `#!lua`."""

def script_names() -> list[str]: ...
def check_namespace(namespace: str) -> None:
    """Checks the name of a namespace; '' is the default one.

    Raises:
        ConfigurationError: the name is not valid.
    """

def check_queue_name(queue: str) -> None:
    """Checks the name of a queue.

    Raises:
        ConfigurationError: the name is not valid.
    """

def parse_message(message: bytes) -> dict[str, Any]:
    """Returns the parts of a message: `task_id`, `opts` (bytes or None), `condemned`
    (`expired`, `cancelled` or None), `priority` (0 to 9), `expires` (ms since 1970, or
    None), `result_ttl` (ms or None),
    `snoozes`, `releases`, `name`, `args` (bytes), `kwargs` (bytes or None),
    `retries`, `deliveries`, `requeues`, `max_retries`, `timeout` (seconds or None), `timeout_wins`,
    `headers` (a dict or None), `on_failure` (JSON as text, or None), `enqueued_at` (ms since
    1970), `unknown_since` (ms since 1970, or None).

    Raises:
        MalformedMessage: the bytes are not a message. The text says what is wrong.
    """

def message_field(message: bytes) -> bytes | None:
    """Returns the field under which a claimed hash holds the message. None: the bytes
    do not begin like a message. `field` in lua/lib/message.lua applies the same rule."""

def raise_deliveries(message: bytes, limit: int = 3) -> tuple[bytes, bytes, bool]:
    """Counts a lost worker, for the rescue.

    Returns (the old field, the message with `deliveries` raised by one, whether the
    count has reached `limit` and the task is dead as worker_lost). A message that is
    condemned is returned unchanged; so is one of a newer version, with b'' for the field.

    Raises:
        MalformedMessage: the bytes do not begin like a message.
    """

def requeued_message(message: bytes, keep_expiry: bool = True) -> bytes:
    """Returns a dead message as it is enqueued again: without its counts, and without its
    expiry if `keep_expiry` is False. A message of a newer version is returned unchanged.

    Raises:
        MalformedMessage: it can't be read.
    """

def new_task_id() -> str:
    """Returns a UUIDv7, for `Producer.enqueue`."""

def dead_reason(reason: str, error: str, traceback: str | None = None) -> bytes:
    """Returns the JSON that `dead:reasons` keeps for a dead message."""

def dead_result(message: bytes, reason: str, error: str) -> tuple[bytes, int] | None:
    """Returns the outcome that is kept of a task that ends as dead without a worker, as JSON,
    and for how many milliseconds. None: nothing of it is kept."""

def cancel_outcome(task_id: str) -> tuple[bytes, bytes]:
    """Returns the outcome of a task that is cancelled before it begins, as JSON: what comes
    before the number of its attempts, and what follows it.

    Raises:
        RuntimeError: it is not an id.
    """

def failure_call(
    message: bytes, queue: str, reason: str, error: str, namespace: str = ""
) -> tuple[str, bytes] | None:
    """Returns the call that follows when a task ends as dead without a worker: the key of the
    list that it goes to, and its message. None: the task has no callback."""

def operators_remedy(error: str, command: str = "", script: str | None = None) -> str | None:
    """Returns the remedy for an error of Redis (with its code) that lasts until an operator
    acts: a right or a command is missing, the password is wrong. None for other errors.

    Args:
        command: the command that was refused, such as `LMOVE` or `CLUSTER SLOTS`.
        script: the script that was refused, in place of a command.
    """

def refusal_text(error: str, command: str = "", script: str | None = None) -> str:
    """Returns an error of Redis (with its code) as people read it: what was refused, and what to
    do. The arguments are those of `operators_remedy`."""

def evictions(settings: Settings, queues: Sequence[str]) -> list[tuple[str | None, str, int]]:
    """Asks each server that has one of the queues whether it evicts keys.

    Returns its `host:port` (None if the URL has only one), its `maxmemory-policy` and its
    `maxmemory` in bytes (0: it has no limit). Leaves out servers that don't answer within
    the timeouts, and those that don't say it, for example because the user lacks the right
    to `INFO`.
    """

def is_temporary(text: str) -> bool:
    """Returns whether an error of Redis says that this server can't work at present: it
    is starting, busy, out of memory or a replica. The code (`LOADING`, `OOM`, ...) can
    be anywhere in `text`."""

def dial(host: str, port: int, timeout: float, silent: Sequence[str] = ...) -> tuple[int, int]:
    """Opens a TCP connection as client and worker do: looks the host up in a thread, and
    tries several addresses at intervals. A signal ends the wait.

    Args:
        timeout: the seconds for the lookup and the connection together.
        silent: addresses to leave out, because the caller has tried them.

    Returns:
        The descriptor of the socket, which belongs to the caller, and how many other
        addresses there are.

    Raises:
        BrokerUnavailable: no address answers in time.
        ConfigurationError: `silent` has something else than IP addresses.
    """

def check_certificates(settings: Settings) -> None:
    """Reads the certificates that the settings name.

    Raises:
        ConfigurationError: one can't be read or used.
    """

def check_server_certificate(settings: Settings, host: str, shown: bytes) -> None:
    """Checks what a server has shown, after its chain was verified: client and worker must
    accept it too.

    Args:
        shown: the server's own certificate (DER).

    Raises:
        BrokerUnavailable: client and worker refuse it. The text has the remedy.
        ConfigurationError: the certificates of the settings can't be used.
    """

def certificate_fault(fault: str, host: str) -> str | None:
    """Returns what is wrong with the certificate of a server, and the remedy.

    Args:
        fault: `expired`, `not_yet_valid`, `other_host` or `unknown_authority`. For any
            other the result is None.
        host: the server, as the URL names it.
    """

def alert_remedy(alert: str, shows_certificate: bool) -> str | None:
    """Returns what to do about an alert of TLS. None: not known.

    Args:
        alert: its name in RFC 8446, for example `certificate_required`;
            `wrong_version_number` for an answer that is not TLS; `timeout` if the
            handshake got no answer in time.
        shows_certificate: whether the client has a certificate to show.
    """

def fork_generation() -> int:
    """Returns how many forks lie between this process and the one that loaded the
    module. For tests."""

def set_parent_death_signal(signal: int) -> None:
    """Asks the kernel to send `signal` to this process when its parent dies. Does
    nothing on systems other than Linux."""
