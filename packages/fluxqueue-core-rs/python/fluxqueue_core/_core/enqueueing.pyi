"""Routes, and the producer that sends calls to Redis."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, final

from typing_extensions import disjoint_base

from .settings import Settings

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

    @property
    def due(self) -> tuple[int | None, int | None]:
        """When its calls are due: `delay` (0: at once), or None and `at`."""

    @property
    def lock(self) -> tuple[str, int, bool, int] | None:
        """The lock that its calls want, as the route got it."""

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
