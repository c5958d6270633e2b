"""The tasks of a test in place of Redis: what waits, what is due, and what has ended.

Time is a number of seconds that only delays and `travel` raise, so a test never waits.

Why: docs/decisions/0226-a-test-has-its-own-clock.md
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

from fluxqueue.broker import Broker
from fluxqueue.enqueue_interface import CallLock
from fluxqueue.errors import ConfigurationError
from fluxqueue.explained_calls import errors_of_tasks
from fluxqueue.task import AnyTask
from fluxqueue.unique import RouteLock
from fluxqueue_core import Route

from fluxqueue_worker.attempts import Attempts
from fluxqueue_worker.registered_task import RegisteredTask

from .attempt import SimulatedAttempt
from .call import Call
from .code_of_task import task_of
from .due import begin_expiry, seconds_until
from .ends import TaskEnds
from .locks import Locks
from .periodic import PeriodicRuns
from .record import RUNNING, WAITING, Place, TaskRecord
from .results import Mailbox, Results
from .runner import AttemptRunner, current
from .turn import Turn

# How many attempts one call of a test may lead to.
MOST_ATTEMPTS = 1_000


class Simulation:
    """See the module's text. Several threads and event loops may use it, one after another.

    Args:
        runs_calls: whether a call of the test runs at once.

    Attributes:
        raises: whether a call, or the test's `drain`, raises the errors of its tasks.
        now: the time, in seconds since the beginning.
        begun: how many attempts have begun.
        calls: those that were enqueued, in order.
        errors: what the tasks that are dead have raised, each with the call of the test that led
            to it.
    """

    def __init__(self, runs_calls: bool) -> None:
        self.now = 0.0
        self.runs_calls = runs_calls
        self.raises = True
        self.begun = 0
        self.calls: list[Call] = []
        self.errors: list[tuple[TaskRecord, BaseException]] = []
        self.brokers: list[Broker] = []
        self.results = Results()
        self.ends = TaskEnds(self)
        self.periodic = PeriodicRuns(self)
        self.locks = Locks(self.ends.cancelled)
        self.runner = AttemptRunner(cast("Attempts", self.ends))
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, TaskRecord]] = []
        self._records: dict[tuple[Place, str], TaskRecord] = {}
        self._registered: dict[AnyTask, RegisteredTask] = {}
        self._running = 0
        # The task whose attempt has begun last.
        self._latest: TaskRecord | None = None
        self._idle = 0
        self._turn = Turn()
        self._changes: set[asyncio.Future[None]] = set()
        self._background: set[asyncio.Task[Any]] = set()

    # Calls.

    def add(
        self,
        broker: Broker,
        route: Route,
        message: bytes,
        lock: CallLock | None = None,
        later: float = 0.0,
    ) -> TaskRecord | str:
        """Enqueues a call. Returns it, or the id of the task that is in its place.

        Args:
            later: seconds that are added to its delay.
        """
        delay_ms, eta = route.due
        delay = later + (seconds_until(eta) if delay_ms is None else delay_ms / 1000)
        terms = route.terms
        expires: float | None = terms["expires"]
        if terms["expires_at"] is not None:
            expires = seconds_until(terms["expires_at"])
        record = self._record(broker, route.queue, message, delay, eta)
        record.expires = None if expires is None else self.now + expires
        lock_terms = route.lock
        if lock is not None and lock_terms is not None:
            present = self.locks.take(record, RouteLock(*lock_terms), lock, self.now)
            if present is not None:
                record.root.live -= 1
                return present
            record.delay = record.due - self.now
        self.enqueue(record)
        self.calls.append(Call(record, task_of(record, self.brokers)))
        return record

    def add_message(
        self, broker: Broker, queue: str, message: bytes, root: TaskRecord | None
    ) -> TaskRecord:
        """Enqueues a message that no call has made: that of a callback or a periodic task."""
        record = self._record(broker, queue, message, 0.0, None, root)
        self.enqueue(record)
        self.calls.append(Call(record, task_of(record, self.brokers)))
        return record

    def clear(self) -> None:
        """Cancels what waits, and forgets the calls."""
        for record in list(self._records.values()):
            if record.state == WAITING:
                self.ends.cancelled(record)
        self.calls.clear()

    def _record(
        self,
        broker: Broker,
        queue: str,
        message: bytes,
        delay: float,
        eta: int | None,
        root: TaskRecord | None = None,
    ) -> TaskRecord:
        settings = broker.settings
        place = Place(settings.url, settings.namespace, queue)
        message = begin_expiry(message)
        caller = current.get()
        if caller is None and self.is_nested:
            caller = self._latest
        root = root or (None if caller is None else caller.root)
        due = self.now + delay
        return TaskRecord(message, broker, place, due, delay, eta, root=root)  # type: ignore[arg-type]

    def enqueue(self, record: TaskRecord) -> None:
        """Puts a task among those that wait."""
        record.state = WAITING
        self._records[record.place, record.id] = record
        heapq.heappush(self._due, (record.due, next(self._numbers), record))
        self.changed()

    # Running.

    @property
    def is_nested(self) -> bool:
        """Whether the code that asks is that of a task."""
        return current.get() is not None or self._turn.is_helper

    def run(self, done: Callable[[], bool], until: float | None = None) -> bool:
        """Runs what is due, in order, until `done`. Returns False if nothing is left before.

        Args:
            until: the last moment of the test's clock at which an attempt begins.
        """
        with self._turn:
            while not done():
                record = self._next(until)
                if record is None:
                    return False
                attempt = self._begin(record)
                if attempt is not None:
                    try:
                        self.runner.run(attempt)
                    finally:
                        self._running -= 1
        return True

    async def run_async(self, done: Callable[[], bool]) -> bool:
        """As `run`, on the running event loop."""
        with self._turn:
            while not done():
                record = self._next(None)
                if record is None:
                    if not await self._wait_for_change():
                        return False
                    continue
                attempt = self._begin(record)
                if attempt is not None:
                    try:
                        await self.runner.run_async(attempt)
                    finally:
                        self._running -= 1
        return True

    async def _wait_for_change(self) -> bool:
        """Waits until another run of this loop has gone on. Returns False if none can: all of
        them wait here."""
        nested = int(current.get() is not None)
        if self._idle + nested >= self._running:
            return False
        future = asyncio.get_running_loop().create_future()
        self._changes.add(future)
        self._idle += nested
        try:
            await future
        finally:
            self._idle -= nested
            self._changes.discard(future)
        return True

    def changed(self) -> None:
        """Tells the runs that wait: a task waits, or has ended."""
        for future in list(self._changes):
            if not future.done():
                future.get_loop().call_soon_threadsafe(_wake, future)

    def _next(self, until: float | None) -> TaskRecord | None:
        while self._due:
            due, _, record = self._due[0]
            if record.state == WAITING and until is not None and due > until:
                return None
            heapq.heappop(self._due)
            if record.state != WAITING or record.due != due:
                continue
            self.now = max(self.now, due)
            if record.expires is not None and self.now >= record.expires:
                self.ends.expire(record)
                continue
            return record
        return None

    def _begin(self, record: TaskRecord) -> SimulatedAttempt | None:
        root = record.root
        root.family_attempts += 1
        if root.family_attempts > MOST_ATTEMPTS:
            for _, _, other in [*self._due, (0.0, 0, record)]:
                if other.root is root and not other.has_ended:
                    self.ends.cancelled(other)
            raise RuntimeError(
                f"one call of {root.name!r} has led to {MOST_ATTEMPTS} attempts, the last at "
                f"{record.name!r}: a task that enqueues itself or puts itself off may never end; "
                f"capture its calls (fluxqueue_captured), and use drain(limit=1)"
            )
        task = task_of(record, self.brokers)
        if task is None or not task.has_code:
            error = ConfigurationError(
                f"task {record.name!r} (queue {record.place.queue!r}) can't run in this test: no "
                f"FluxQueue object here has its code; import its module, or capture the call "
                f"(fluxqueue_captured)"
            )
            self.ends.dead(record, "unknown_task", str(error), error=error)
            return None
        record.state = RUNNING
        record.attempts += 1
        self._latest = record
        self.begun += 1
        self.locks.begun(record)
        registered = self._registered.get(task)
        if registered is None:
            registered = self._registered[task] = RegisteredTask(task, self.runner.shared)
            self.runner.prepare(registered, task.providers)
        self._running += 1
        return SimulatedAttempt(record, registered, self.ends.reported)

    def called(self, roots: Sequence[TaskRecord]) -> None:
        """Lets the tasks of a call run, if they run at once, and raises the first error."""
        __tracebackhide__ = True
        if self.runs_calls and not self.is_nested:
            self.run(lambda: not any(root.live for root in roots))
            self.raise_error(roots)

    def called_async(
        self, roots: Sequence[TaskRecord], future: asyncio.Future[Any], result: Any
    ) -> None:
        """As `called`, on the running event loop. The future gets the result, or the error."""
        if not self.runs_calls or self.is_nested:
            future.set_result(result)
            return

        async def run() -> None:
            try:
                await self.run_async(lambda: not any(root.live for root in roots))
                self.raise_error(roots)
            except asyncio.CancelledError:
                # The loop ends. The task is enqueued, as it would be in Redis.
                if not future.done():
                    future.set_result(result)
                raise
            except BaseException as error:  # noqa: BLE001 - the caller of the task gets it
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.start(run())

    def raise_error(self, roots: Sequence[TaskRecord]) -> None:
        """Raises the first error of these calls, if the test wants that."""
        __tracebackhide__ = True
        error = self.error_of(roots) if self.raises else None
        if error is not None:
            raise error

    def error_of(self, roots: Sequence[TaskRecord]) -> BaseException | None:
        """Returns the first error of the tasks to which these calls of the test have led."""
        return next((error for root, error in self.errors if root in roots), None)

    # The producer's `cancel`.

    def cancel(self, place: Place, task_id: str) -> str:
        """Cancels a task; returns the verdict."""
        record = self._records.get((place, task_id))
        if record is None or record.has_ended:
            return "already_done"
        record.is_cancelled = True
        if record.state == RUNNING:
            self.runner.cancel(record)
            return "requested"
        self.ends.cancelled(record)
        return "cancelled"

    def ended(self, record: TaskRecord, error: BaseException | None) -> None:
        """No attempt of the task follows. `error`: for the test."""
        record.root.live -= 1
        self._records.pop((record.place, record.id), None)
        self.locks.ended(record)
        if error is not None:
            self.errors.append((record.root, error))
            errors_of_tasks.append(error)
        self.changed()

    # Those who wait for results (`results.Waiting`).

    @property
    def can_run(self) -> bool:
        """Whether tasks run without a call of `drain`."""
        return self.runs_calls or self.is_nested

    @property
    def why_nothing_arrives(self) -> str | None:
        """Says how a test lets tasks run first."""
        return None if self.can_run else "the test captures its calls; run them with drain()"

    def wait(self, arrived: Callable[[], bool], timeout: float) -> None:
        """Lets up to this time pass until something has arrived."""
        until = self.now + timeout
        if self.can_run and not self.run(arrived, until) and self.is_nested:
            self.now = until

    def wait_async(self, mailbox: Mailbox) -> None:
        """As `wait`, on the running event loop: without a limit."""
        if not self.can_run:
            mailbox.give_up()
            return

        async def run() -> None:
            if not await self.run_async(lambda: not mailbox.wants_outcomes):
                mailbox.give_up()

        self.start(run())

    def start(self, coroutine: Any) -> asyncio.Task[Any]:
        """Runs a coroutine next to the caller."""
        task = asyncio.get_running_loop().create_task(coroutine)
        # asyncio itself keeps no reference.
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
