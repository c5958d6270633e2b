"""`TaskHandle`: what a caller keeps of a task that is in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar, cast

from .awaited_call import AwaitedMethod
from .blocking import warn_of_blocked_wait
from .errors import DuplicateTask, ResultDeadlock, ResultNotKept

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .broker import Broker
    from .progress import Progress
    from .return_value import ReturnValue
    from .waiting import TaskRef

R = TypeVar("R", covariant=True)

# The answers of `TaskHandle.cancel`.
CancelVerdict: TypeAlias = Literal["cancelled", "already_done", "requested"]

# Seconds that a caller waits for a result, if it does not say how long.
DEFAULT_TIMEOUT = 60.0
# How a task is that has not ended.
UNFINISHED = "unfinished"
_ANSWERED = "Redis has answered"


def _awaited(lost: str, blocking_method: str) -> AwaitedMethod:
    method = f"handle.{blocking_method}"
    return AwaitedMethod(lost, lambda handle: str(handle._where), f"{method}_async", method)


class TaskHandle(Generic[R]):
    """Names one task. `str(handle)` is the task's id.

    Two handles of one task are equal, and have one hash: its id, queue and namespace count, the
    address of Redis does not. A handle does not know whether its task exists: any process can
    make one from the id and the queue, with `FluxQueue.handle`.

    A task has a result if it was enqueued with `result_ttl`; see docs/results.md. A handle
    can be pickled; see docs/calling.md.

    Attributes:
        id: the task's id, a UUID as text.
        queue: the queue of the task.
        created: whether the call that returned the handle has enqueued the task. False if a
            unique task was there already, or if `FluxQueue.handle` made the handle.
    """

    __slots__ = ("_broker", "_keeps", "_returned", "id", "queue")

    id: str
    queue: str
    created: ClassVar[bool] = True

    def __init__(
        self,
        task_id: str,
        queue: str,
        broker: Broker,
        returned: ReturnValue | None = None,
        keeps: bool | None = None,
    ) -> None:
        self.id = task_id
        self.queue = queue
        # The Redis and the namespace of the task, for the methods that ask about it.
        self._broker = broker
        self._returned = returned
        # Whether the task has a result. None: the handle was made from an id.
        self._keeps = keeps

    def result(self, timeout: float = DEFAULT_TIMEOUT, *, in_worker: bool = False) -> R:
        """Returns what the task returned. Blocks until the task has ended.

        Any number of threads and of handles wait over one connection.

        Args:
            timeout: seconds to wait. 0 looks once.
            in_worker: allows a worker to wait for a task of a queue that it serves itself.

        Raises:
            TaskFailed, TaskLost, TaskExpired, TaskCancelled: the task ended in this way.
            ResultTimeout: nothing came in time.
            ResultNotKept: the task was enqueued without `result_ttl`.
            ResultDeadlock: this process is a worker of the task's queue.
            ResultError: the result does not fit the annotation of the task's function, or
                Redis has something else there.
            BrokerError: Redis refuses to tell.
        """
        from .progress import is_report
        from .waiting import timed_out, wait

        self._check(in_worker, timeout)
        warn_of_blocked_wait(f"{self._where}: ", "the task has ended", "handle.result_async(...)")
        settings = self._broker.settings
        if timeout > 0:
            [found] = wait(settings, [self._ref()], timeout)
        else:
            [found] = wait(settings, [self._ref()], settings.timeout, once=True)
        if not found or is_report(found):
            raise timed_out(settings, self._ref(), timeout)
        return self._value(found)

    @_awaited("its result was not read", "result")
    async def result_async(self, timeout: float = DEFAULT_TIMEOUT, *, in_worker: bool = False) -> R:
        """As `result`, on the running event loop."""
        import asyncio

        from .progress import is_report
        from .waiting import timed_out
        from .waiting_async import of_loop

        self._check(in_worker, timeout)
        settings = self._broker.settings
        until, limit_seconds = ("outcome", timeout) if timeout > 0 else ("look", settings.timeout)
        try:
            async with asyncio.timeout(limit_seconds) as limit:
                found = await of_loop(settings).wait(self._ref(), until)
        except TimeoutError:
            if not limit.expired():
                raise
            raise timed_out(settings, self._ref(), timeout) from None
        if not found or is_report(found):
            raise timed_out(settings, self._ref(), timeout)
        return self._value(found)

    def status(self) -> str:
        """Returns how the task ended: `succeeded`, or why it did not (`failed`, `cancelled`,
        `expired`, `worker_lost` or another reason of the dead set). `unfinished`: there is no
        result, because the task waits or runs, its result has expired, or it never existed.

        Raises:
            ResultNotKept: the task was enqueued without `result_ttl`.
            BrokerError, BrokerUnavailable: Redis refuses, or does not answer in time.
        """
        warn_of_blocked_wait(f"{self._where}: ", _ANSWERED, "handle.status_async()")
        return self._status(self._look())

    @_awaited("its status was not read", "status")
    async def status_async(self) -> str:
        """As `status`, on the running event loop."""
        return self._status(await self._look_async())

    def progress(self) -> Progress | None:
        """Returns how far the task is, as it has last reported by `ctx.progress`. None: it has
        reported nothing, or it has ended.

        Raises:
            ResultNotKept: the task was enqueued without `result_ttl`.
            ResultError: Redis has something else there.
            BrokerError, BrokerUnavailable: Redis refuses, or does not answer in time.
        """
        warn_of_blocked_wait(f"{self._where}: ", _ANSWERED, "handle.progress_async()")
        return self._progress(self._look())

    @_awaited("its progress was not read", "progress")
    async def progress_async(self) -> Progress | None:
        """As `progress`, on the running event loop."""
        return self._progress(await self._look_async())

    async def watch(self, *, in_worker: bool = False) -> AsyncGenerator[Progress, None]:
        """Iterates over the reports of progress of the task until it has ended: `async for
        progress in handle.watch()`. The last report comes first. A caller that is slow gets the
        newest report next, not each of them.

        It waits for as long as the task has not ended. `async with asyncio.timeout(...)` around
        the loop limits that.

        Args:
            in_worker: as for `result`.

        Raises:
            ResultNotKept, ResultDeadlock: as `result`.
            ResultError: Redis has something else there.
            BrokerError: Redis refuses to tell.
        """
        from .waiting_async import of_loop

        self._check(in_worker, DEFAULT_TIMEOUT)
        reports = of_loop(self._broker.settings).watch(self._ref())
        try:
            async for report in reports:
                if (progress := self._progress(report)) is not None:
                    yield progress
        finally:
            await reports.aclose()

    def _status(self, found: bytes) -> str:
        from .outcome_reading import state_of
        from .progress import is_report

        if not found or is_report(found):
            return UNFINISHED
        return state_of(found, self.id, self.queue)

    def _progress(self, found: bytes) -> Progress | None:
        from .outcome_reading import progress_of
        from .progress import is_report

        return progress_of(found, self.id, self.queue) if is_report(found) else None

    def _look(self) -> bytes:
        """Returns what Redis keeps of the task: its outcome, a report of its progress, or b''."""
        from .waiting import wait

        self._check_kept()
        settings = self._broker.settings
        [found] = wait(settings, [self._ref()], settings.timeout, once=True)
        if found is None:
            raise self._unavailable()
        if isinstance(found, Exception):
            raise found
        return found

    async def _look_async(self) -> bytes:
        import asyncio

        from .waiting_async import of_loop

        self._check_kept()
        settings = self._broker.settings
        try:
            async with asyncio.timeout(settings.timeout) as limit:
                return await of_loop(settings).wait(self._ref(), "look")
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._unavailable() from None

    def _unavailable(self) -> Exception:
        from .errors import BrokerUnavailable
        from .waiting import timed_out

        settings = self._broker.settings
        return BrokerUnavailable(str(timed_out(settings, self._ref(), settings.timeout)))

    @property
    def _where(self) -> str:
        return f"task {self.id} (queue {self.queue!r})"

    def _ref(self) -> TaskRef:
        from .waiting import TaskRef

        return TaskRef(self.queue, self.id)

    def _check(self, in_worker: bool, timeout: object) -> None:
        from .option_checks import LONGEST_TIMEOUT, is_number, shown_number

        # False for a NaN too. No clock takes more seconds than a float has.
        if not is_number(timeout) or not 0 <= timeout <= LONGEST_TIMEOUT:
            shown = shown_number(timeout) if is_number(timeout) else repr(timeout)
            raise ValueError(
                f"timeout is {shown}; give seconds from 0 to {LONGEST_TIMEOUT} (a year)"
            )
        self._check_kept()
        if not in_worker and self._is_served:
            raise self._told(
                ResultDeadlock(
                    f"task {self.id}: this process is a worker of its queue {self.queue!r}. If all "
                    f"slots wait for tasks of the queue, none of these can begin; use another "
                    f"queue, or pass in_worker=True if you are sure that a slot stays free"
                )
            )

    @property
    def _is_served(self) -> bool:
        """Whether this process is a worker of the task's queue."""
        from .served import is_served

        return is_served(self.queue, self._broker.settings.namespace)

    def _check_kept(self) -> None:
        if self._keeps is False:
            raise self._told(
                ResultNotKept(
                    f"{self._where} was enqueued without result_ttl, so "
                    f"nothing is kept of its end; give its task result_ttl=3600, for example"
                )
            )

    def _told(self, error: Any) -> Any:
        error.task_id, error.queue = self.id, self.queue
        return error

    def _value(self, found: bytes | Exception) -> R:
        from .outcome_reading import value_of

        if isinstance(found, Exception):
            raise found
        value: R = value_of(found, self._returned, self.id, self.queue)
        return value

    def cancel(self) -> CancelVerdict:
        """Cancels the task. Blocks until Redis has answered.

        The cancel is kept in Redis until the task ends, a week at most: it outlives
        retries, restarts and lost workers. No attempt follows. A running async task is
        cancelled within a second. A running sync task gets a `CancelRequested` between two
        bytecodes.

        Returns:
            `cancelled`: the task waited or was delayed, and will not begin. All who ask or wait
            for its result learn it at once.
            `already_done`: the queue does not have it; it has ended, or never existed.
            `requested`: a worker has it, or the queue was too long to look for it. It is
            stopped, or ends when a worker meets it.

        Raises:
            BrokerError, BrokerUnavailable: Redis refused, or was not reachable in time. The
                task may be cancelled; a second call does no harm.
        """
        warn_of_blocked_wait(f"{self._where}: ", _ANSWERED, "handle.cancel_async()")
        return cast("CancelVerdict", self._broker.producer.cancel(self.queue, self.id))

    @_awaited("the task was not cancelled", "cancel")
    async def cancel_async(self) -> CancelVerdict:
        """As `cancel`, in a thread, so that the event loop goes on."""
        import asyncio  # only needed here

        return await asyncio.to_thread(self.cancel)

    def __reduce__(self) -> tuple[Any, ...]:
        from .unpickled_handle import unpickled

        settings = self._broker.settings
        redis = settings.display_url, settings.namespace
        return unpickled, (type(self), self.id, self.queue, self._returned, self._keeps, *redis)

    def __copy__(self) -> TaskHandle[R]:
        return self

    def __deepcopy__(self, memo: object) -> TaskHandle[R]:
        return self

    def __str__(self) -> str:
        return self.id

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, TaskHandle):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str, str, str]:
        return self.id, self.queue, self._broker.settings.namespace

    def __repr__(self) -> str:
        return f"<TaskHandle {self.id!r} of queue {self.queue!r}>"


class FoundTask(TaskHandle[R]):
    """The handle of a task that was there before."""

    __slots__ = ()

    created = False


def duplicate(where: str, found: TaskHandle[Any]) -> DuplicateTask:
    """Returns the error for a call that found the same task.

    Args:
        where: names the task of the call.
    """
    error = DuplicateTask(
        f"{where}: the same task is waiting or running as {found.id}, so nothing was enqueued; use "
        f'its handle (error.handle), or on_conflict="skip" to get it without an error'
    )
    error.handle, error.task_id, error.queue = found, found.id, found.queue
    return error
