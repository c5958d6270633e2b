"""A worker in the process of another program, such as a web server or a test.

    with EmbeddedWorker(fluxqueue, concurrency=4):
        ...

It is the worker of `fluxqueue start`, in threads of this process: it claims, renews leases,
retries and drains in the same way. It handles no signals, ends no process, and writes to the
logger `fluxqueue.worker` of `logging`.

Why: docs/decisions/0240-a-worker-in-another-process-leaves-threads.md
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from fluxqueue import AsyncTask, FluxQueue, Task
from fluxqueue.errors import ConfigurationError
from fluxqueue_core.service.setting import as_text, settings_of

from . import greenlets
from .embedded_run import EmbeddedRun
from .options import ALL_QUEUES, Options

if TYPE_CHECKING:
    from fluxqueue.task import AnyTask


class EmbeddedWorker:
    """Runs the tasks of `FluxQueue` objects in threads of this process.

    Several may run in one process, of different objects. One that has stopped may start again.

    If the worker itself fails, another one replaces it after a pause. A program that ends without
    `stop` drains at its exit.

    Args:
        *objects: `FluxQueue` objects, whose tasks it runs, or single tasks. All of the served
            queues must be in one Redis and one namespace.
        queues: the names of the queues, in order of priority; `*` stands for all others that
            the tasks declare.
        concurrency: how many tasks run at once; this and the rest are as the options of
            `fluxqueue start`, with the same defaults.
        drain_timeout: seconds.
        lease: seconds.
        timeout_grace: seconds.
        unknown_task_grace: seconds.
        save_dead_tasks: whether dead tasks are kept, with their errors.

    Raises:
        TypeError: an object is neither a `FluxQueue` nor a task.
        ConfigurationError: a value is out of range.
    """

    def __init__(
        self,
        *objects: FluxQueue | AnyTask,
        queues: Sequence[str] = (ALL_QUEUES,),
        concurrency: int = 4,
        drain_timeout: float = 30.0,
        lease: float = 10.0,
        timeout_grace: float = 5.0,
        unknown_task_grace: float = 300.0,
        save_dead_tasks: bool = True,
    ) -> None:
        self._objects = _checked(objects)
        self._options = _options(
            queues=(queues,) if isinstance(queues, str) else tuple(queues),
            concurrency=concurrency,
            drain_timeout=drain_timeout,
            lease=lease,
            timeout_grace=timeout_grace,
            unknown_task_grace=unknown_task_grace,
            save_dead_tasks=save_dead_tasks,
        )
        # Held while another thread may start or stop this worker.
        self._changing = threading.Lock()
        self._run: EmbeddedRun | None = None

    @property
    def running(self) -> bool:
        """Whether it was started in this process and has not ended."""
        return self._run is not None and self._run.is_of_this_process and not self._run.over

    def problems(self) -> list[str]:
        """Returns why the worker takes no tasks now, each as a text for people; empty if it
        does."""
        return self._run.problems() if self.running and self._run else ["the worker does not run"]

    def start(self, timeout: float = 10.0) -> None:
        """Starts the worker, and returns when Redis serves all of its queues.

        Args:
            timeout: seconds to wait for Redis. 0: returns at once; the worker goes on to connect.

        Raises:
            ConfigurationError: there are no tasks, the objects disagree about Redis or the
                namespace, or greenlets replace the threads of this process.
            BrokerUnavailable: Redis did not serve the queues in time. The worker has ended.
            RuntimeError: it runs already.
        """
        self._start(timeout, threading.Event())

    def _start(self, timeout: float, given_up: threading.Event) -> None:
        with self._changing:
            if given_up.is_set():
                return
            if self.running:
                raise RuntimeError("the worker runs already")
            if (library := greenlets.patched_by()) is not None:
                raise ConfigurationError(
                    f"{library} has replaced the threads of this process by greenlets, and a "
                    f"worker needs real threads; run the worker as a process, by `fluxqueue "
                    f"start`, or call {greenlets.REMEDIES[library]} in place of the other patch"
                )
            self._run = run = EmbeddedRun(self._objects, self._options)
        if timeout and (problem := run.wait_until_ready(timeout)) is not None:
            self.stop(0)
            raise problem

    def stop(self, timeout: float | None = None) -> bool:
        """Drains as a worker process does at SIGTERM: takes no more tasks, gives back those that
        have not begun, lets the running ones end, gives back those that do not.

        It returns within `timeout` and a few seconds, even if the code of a task never ends. That
        code goes on in its thread: its task runs again elsewhere, and its outcome does not count.

        Args:
            timeout: seconds that running tasks may continue; by default `drain_timeout`.

        Returns:
            whether all threads have ended. False: code of a task still runs; the log names it.
        """
        run = self._run
        if run is None or not run.is_of_this_process:
            return True
        return run.stop(self._options.drain_timeout if timeout is None else timeout)

    async def start_async(self, timeout: float = 10.0) -> None:
        """As `start`, in a thread, so that it does not block the event loop. If it is cancelled,
        the worker ends."""
        before, given_up = self._run, threading.Event()
        try:
            await asyncio.to_thread(self._start, timeout, given_up)
        except asyncio.CancelledError:
            given_up.set()
            with self._changing:  # a start that has begun has its run now
                run = self._run
            if run is not None and run is not before:
                await asyncio.to_thread(run.stop, 0)
            raise

    async def stop_async(self, timeout: float | None = None) -> bool:
        """As `stop`, in a thread, so that it does not block the event loop."""
        return await asyncio.to_thread(self.stop, timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self.start_async()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop_async()


def _checked(objects: Sequence[object]) -> Sequence[FluxQueue | AnyTask]:
    found: list[FluxQueue | AnyTask] = []
    for each in objects:
        if not isinstance(each, FluxQueue | Task | AsyncTask):
            raise TypeError(f"give FluxQueue objects or tasks, not {type(each).__name__}")
        found.append(each)
    if not found:
        raise TypeError("give the FluxQueue objects whose tasks the worker runs")
    return found


def _options(**values: object) -> Options:
    """Checks the values as those of the command line are checked."""
    settings = settings_of(Options)
    read: dict[str, Any] = {}
    for name, value in values.items():
        try:
            read[name] = settings[name].parse(as_text(value))
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}") from None
    return Options(**read, embedded=True, folder=os.getcwd())
