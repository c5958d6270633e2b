"""One start of an embedded worker, to its end: its thread, and the workers that replace one that
has failed."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Sequence
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Self

from fluxqueue.errors import BrokerUnavailable
from fluxqueue.served import serve_in_context

from . import application, descriptors
from .failure_text import FailureText
from .host_log import HostLogger
from .options import Options
from .process import FIRST_PAUSE, LONGEST_PAUSE, STABLE
from .shutdown import Wakeup
from .worker import Worker

if TYPE_CHECKING:
    from fluxqueue import FluxQueue
    from fluxqueue.task import AnyTask

# Seconds that a worker has, after its drain, to give back what it holds and to end its threads.
END_PATIENCE = 20.0
# Seconds between two looks at whether Redis serves the queues.
READY_INTERVAL = 0.005
LEFT_RUNNING = (
    "its code goes on in this process until it returns, and its outcome does not count; give the"
    " task a timeout, or raise drain_timeout above its duration"
)


class _Requests(Wakeup):
    """The requests of the program to its worker, in place of signals."""

    def ask_to_end(self) -> None:
        """Asks for a drain; the second time, to cut it short. Any thread may call it."""
        self._received.append(signal.SIGTERM)
        self.wake()

    def __enter__(self) -> Self:
        super().__enter__()
        if self._received:
            self.wake()
        return self

    def reason(self, number: int) -> str:
        return "stop"


class EmbeddedRun:
    """See the module's text. It begins when it is made.

    Raises:
        ConfigurationError: the objects can't have one worker.
    """

    def __init__(self, objects: Sequence[FluxQueue | AnyTask], options: Options) -> None:
        self._pid = os.getpid()
        self._objects, self._options = objects, options
        self._logger = HostLogger()
        # Each attempt gets a copy, as if its task were called here.
        self._context = copy_context()
        # Held while the thread puts another worker in place of one that has failed.
        self._replacing = threading.Lock()
        self._end_asked = threading.Event()
        self._ended = threading.Event()
        self._is_stuck = False
        self._failure: Exception | None = None
        self._worker, self._requests = self._new_worker()
        # A daemon: the interpreter joins other threads before it calls `_stop_at_exit`.
        self._thread = threading.Thread(target=self._serve, name="fluxqueue-worker", daemon=True)
        self._thread.start()
        atexit.register(self._stop_at_exit)

    @property
    def is_of_this_process(self) -> bool:
        """Whether its threads are here, not in the process that has forked this one."""
        return self._pid == os.getpid()

    @property
    def over(self) -> bool:
        """Whether its last worker has ended."""
        return self._ended.is_set()

    def problems(self) -> list[str]:
        """Returns why it takes no tasks; empty if it does."""
        if self._end_asked.is_set():
            return ["the worker drains"]
        return [
            f"Redis does not serve the queue {queue}{': ' * bool(error)}{error}"
            for queue, error in self._worker.disconnected().items()
        ]

    def wait_until_ready(self, timeout: float) -> Exception | None:
        """Returns None when Redis serves all queues, or what went wrong."""
        deadline = monotonic() + timeout
        while problems := self.problems():
            if self._failure is not None:
                return self._failure
            if self._ended.wait(READY_INTERVAL):
                return RuntimeError("the worker was stopped before it was ready")
            if monotonic() > deadline:
                return BrokerUnavailable(
                    f"the worker is not ready after {timeout:g} s: {'; '.join(problems)}"
                )
        return None

    def stop(self, timeout: float) -> bool:
        """Drains for up to `timeout` seconds. Returns whether all threads have ended."""
        with self._replacing:
            if not self._end_asked.is_set():
                self._worker.drain_timeout = timeout
                self._end_asked.set()
                self._requests.ask_to_end()
        if not self._ended.wait(timeout):
            self._requests.ask_to_end()
            if not self._ended.wait(END_PATIENCE):
                self._logger.error("worker.not_stopped", seconds=timeout + END_PATIENCE)
                return False
        self._thread.join()
        atexit.unregister(self._stop_at_exit)
        return not self._is_stuck

    def _stop_at_exit(self) -> None:
        if self.is_of_this_process:
            self.stop(self._options.drain_timeout)

    def _new_worker(self) -> tuple[Worker, _Requests]:
        options, settings, tasks = application.of_objects(self._objects, self._options)
        descriptors.allow(len(options.queues), options.concurrency)
        requests = _Requests()

        def make() -> Worker:
            serve_in_context(options.queues, settings.namespace)
            return Worker(options, settings, tasks, self._logger, requests=requests)

        return self._context.run(make), requests

    def _serve(self) -> None:
        pause = FIRST_PAUSE
        try:
            started = monotonic()
            self._run_worker()
            while not self._end_asked.is_set():
                if monotonic() - started >= STABLE:
                    pause = FIRST_PAUSE
                self._logger.error("worker.restarts", restart_in=pause)
                if self._end_asked.wait(pause):
                    break
                pause = min(pause * 2, LONGEST_PAUSE)
                started = monotonic()
                self._run_another()
        finally:
            self._ended.set()

    def _run_worker(self) -> None:
        """Runs the worker until it is stopped, or fails."""
        worker = self._worker
        try:
            worker.run()
        except Exception as error:  # noqa: BLE001 - of the worker: the program goes on
            self._failed(error)
        if isinstance(worker.error, Exception):
            self._failure = worker.error
        left = worker.running()
        self._is_stuck |= worker.stuck or bool(left)
        for attempt, _ in left:
            self._logger.warning(
                "task.left_running",
                task_id=attempt.task_id,
                name=attempt.name,
                queue=attempt.queue,
                remedy=LEFT_RUNNING,
            )

    def _run_another(self) -> None:
        try:
            made = self._new_worker()
        except Exception as error:  # noqa: BLE001 - the next one may start
            self._failed(error)
            return
        with self._replacing:
            if self._end_asked.is_set():
                return
            self._worker, self._requests = made
        self._run_worker()

    def _failed(self, error: Exception) -> None:
        self._failure = error
        text, trace = FailureText.of(error)
        self._logger.error("worker.failed", error=text, exception=trace)
