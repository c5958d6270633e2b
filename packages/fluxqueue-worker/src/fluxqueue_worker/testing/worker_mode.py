"""A real worker and a real scheduler in the process of a test, with a Redis.

Why: docs/decisions/0228-a-worker-in-a-test-has-a-namespace.md
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, cast

from fluxqueue import FluxQueue
from fluxqueue.broker import Broker
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue.task import AnyTask
from fluxqueue_core import Settings

from fluxqueue_worker.embedded_worker import EmbeddedWorker

from .queues_of_test import Held, QueuesOfTest
from .takeover import Takeover, named
from .travelling import seconds_ahead

if TYPE_CHECKING:
    from types import TracebackType

URL_VARIABLE = "FLUXQUEUE_TEST_REDIS_URL"
# Seconds between two looks at the queues.
_INTERVAL = 0.005
# Seconds that running tasks have at the end of a test.
_PATIENCE = 5.0
_numbers = itertools.count(1)
_server: EmbeddedRedis | None = None


def _url_of_session() -> str:
    """The Redis of all tests of this process: the one that the variable names, or a new one."""
    global _server
    named = os.environ.get(URL_VARIABLE)
    if named:
        return named
    if _server is None:
        _server = EmbeddedRedis(appendfsync="no").start()
    return _server.url


def _deadline(timeout: float) -> float:
    if not timeout >= 0:
        raise ValueError(f"the timeout is {timeout} s; give 0 s or more")
    return time.monotonic() + timeout


class WorkerMode:
    """Calls go to Redis, and a worker in this process runs their tasks, as in production: in
    threads and on an event loop, with real locks, limits and retries.

    A context manager that can be entered once. Each has a namespace, whose keys it deletes.

    Args:
        objects: the `FluxQueue` objects; none: all of the process, also those that are made while
            it lasts.
        redis_url: the Redis; by default that of FLUXQUEUE_TEST_REDIS_URL, or a server that ends
            with the process.
        concurrency: how many tasks run at once.

    Raises:
        ConfigurationError: two of the tasks have one name and queue: name the objects.
        ModuleNotFoundError: fluxqueue-scheduler is not installed.
        RedisNotFound, RedisNotStarted: there is no Redis.
    """

    def __init__(
        self, *objects: FluxQueue, redis_url: str | None = None, concurrency: int = 4
    ) -> None:
        self._objects = named(objects)
        self._redis_url = redis_url
        self._concurrency = concurrency
        self._stack = ExitStack()
        self._brokers: list[Broker] = []
        self._served: set[AnyTask] = set()
        self._worker: EmbeddedWorker | None = None
        self.namespace = f"test-{os.getpid()}-{next(_numbers)}"

    def __enter__(self) -> Self:
        try:
            from fluxqueue_scheduler.options import Options
            from fluxqueue_scheduler.service import Scheduler
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "a test with a real worker needs a scheduler, for retries and delays: install "
                "fluxqueue-scheduler",
                name=error.name,
            ) from None
        self._url = self._redis_url or _url_of_session()
        settings = Settings(self._url, namespace=self.namespace)
        if not self._objects:
            gc.collect()  # objects of earlier tests, whose tasks may have the names of this one's
        with ExitStack() as stack:
            self._queues = QueuesOfTest(settings.url, self.namespace)
            stack.callback(self._queues.delete)
            # A test that keeps the mode does not keep these objects.
            stack.callback(self._brokers.clear)
            stack.callback(self._served.clear)
            stack.callback(Takeover(self._objects, self._take).end)
            scheduler = Scheduler(settings, Options())
            scheduler.start()
            stack.callback(scheduler.stop)
            stack.callback(self._stop_worker)
            self.restart()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _take(self, broker: Broker) -> None:
        self._brokers.append(broker)
        broker.move(self._url, self.namespace)

    def _tasks(self) -> set[AnyTask]:
        every = (cast("AnyTask", task) for broker in self._brokers for task in broker.tasks)
        return {task for task in every if task.has_code}

    def restart(self) -> None:
        """Starts the worker again, so that it knows the tasks that were declared since. The
        methods that wait do so if there are any."""
        self._stop_worker()
        self._served.clear()
        self._served.update(self._tasks())
        if self._served:
            self._worker = EmbeddedWorker(
                *self._served, concurrency=self._concurrency, drain_timeout=_PATIENCE
            )
            self._worker.start()
            self._queues.retry_unknown()

    def _stop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()

    def wait_until_idle(self, timeout: float = 30.0) -> None:
        """Waits until no task runs and none is due. Tasks that are delayed, such as retries, may
        wait for their time: see `travel` and `drain`.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: tasks still wait or run. The text has their number.
            ValueError: the timeout is negative, or not a number.
        """
        deadline = _deadline(timeout)
        while (held := self._held()).waiting or held.running:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"after {timeout:g} s, {held.waiting} tasks wait and {held.running} run"
                )
            time.sleep(_INTERVAL)

    async def wait_until_idle_async(self, timeout: float = 30.0) -> None:
        """As `wait_until_idle`, in a thread, so that it does not block the event loop."""
        await asyncio.to_thread(self.wait_until_idle, timeout)

    def travel(self, seconds: float) -> None:
        """Lets time pass in Redis, without a pause: delayed tasks and retries become due, and
        expire; locks, throttles and results end. Clocks of the application do not change, and
        neither do periodic tasks and the rates of limits.

        Raises:
            ValueError: the time would go back, or has no end.
        """
        self._queues.travel(round(seconds_ahead(seconds) * 1000))

    def drain(self, timeout: float = 30.0) -> None:
        """Waits until no task is left, and travels to the time of each that is delayed.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: tasks still wait or run.
            ValueError: the timeout is negative, or not a number.
        """
        deadline = _deadline(timeout)
        while True:
            self.wait_until_idle(max(deadline - time.monotonic(), 0.0))
            held = self._held()
            if held.next_due < 0 and not held.waiting:
                return
            self.travel(max(held.next_due, 0) / 1000)
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout:g} s, {held.later} tasks are delayed again")

    async def drain_async(self, timeout: float = 30.0) -> None:
        """As `drain`, in a thread, so that it does not block the event loop."""
        await asyncio.to_thread(self.drain, timeout)

    def _held(self) -> Held:
        if self._tasks() - self._served:
            self.restart()
        return self._queues.held()
