"""The system under test: a scheduler, workers and a client, for the crash tests.

    with System(folder, redis_url, APP, lease=3) as system:
        system.start_scheduler()
        worker = system.start_worker(concurrency=10)
        system.enqueue("work", range(100))
        system.wait_until_ended(range(100))

The application has a `ledger`, and the names of `worker_process.PRELUDE`. The end of the
`with` block ends all processes, by their pid.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import redis
from fluxqueue import FluxQueue
from fluxqueue.task import Task
from fluxqueue_core import key

from .keys import unknown_keys
from .ledger import Ledger
from .logging_process import LoggingProcess
from .scheduler_process import SchedulerProcess
from .waiting import PATIENCE, wait_until
from .worker_process import PYTHON, WorkerProcess

P = TypeVar("P", bound=LoggingProcess)
TESTS = str(Path(__file__).parent.parent)

LEDGER = """
from support.ledger import Ledger
ledger = Ledger(os.environ["LEDGER"])
"""

PLACES = ("pending", "prioritized", "suspects", "delayed")
# In one step: a task that moves meanwhile could be missed.
COUNT = """
local lengths = {list = 'LLEN', zset = 'ZCARD', hash = 'HLEN'}
local names, found = {unpack(KEYS)}, {}
for _, pattern in ipairs(ARGV) do
  for _, name in ipairs(redis.call('KEYS', pattern)) do names[#names + 1] = name end
end
for _, name in ipairs(names) do
  local length = lengths[redis.call('TYPE', name)['ok']]
  if length then
    found[#found + 1] = name
    found[#found + 1] = redis.call(length, name)
  end
end
return found
"""


def _python_path() -> str:
    """The PYTHONPATH by which the application finds `support`."""
    return os.pathsep.join(filter(None, [TESTS, os.environ.get("PYTHONPATH")]))


class System:
    """See the module's text.

    Args:
        folder: for the application, the ledger and the notes.
        app: the application's source.
        lease: seconds, for workers and schedulers; their own default if None.
        client_url, worker_url, scheduler_url: where they find Redis, if they don't use
            the URL of the test.
        redis_client: makes a client for assertions, if redis-py can't read the URL.

    Attributes:
        ledger: the runs of all tasks.
        redis: a client, for assertions.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        app: str,
        *,
        lease: float | None = None,
        client_url: str | None = None,
        worker_url: str | None = None,
        scheduler_url: str | None = None,
        redis_client: Callable[[], Any] | None = None,
    ) -> None:
        self.ledger = Ledger(folder / "ledger")
        self._redis_client = redis_client or (lambda: redis.Redis.from_url(redis_url))
        self.redis: Any = self._redis_client()
        self._client = FluxQueue(client_url or redis_url)
        self._tasks: dict[tuple[str, str, int], Task[..., Any]] = {}
        self._folder = folder
        self._url = redis_url
        self._worker_url = worker_url or redis_url
        self._scheduler_url = scheduler_url or redis_url
        self._app = LEDGER + app
        self._lease: dict[str, object] = {} if lease is None else {"lease": lease}
        self._stack = ExitStack()
        self._stack.callback(self.redis.close)
        self._stack.callback(self._client.close)
        self._processes: list[LoggingProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        if kind is None:
            # Some tests end with Redis away.
            with contextlib.suppress(redis.ConnectionError), self._redis_client() as client:
                unknown = unknown_keys(client)
                assert not unknown, f"keys that the protocol does not know: {unknown}"

    def start_worker(
        self, app: str | None = None, *, python: str | Path = PYTHON, **options: object
    ) -> WorkerProcess:
        """Starts a worker; one with a separate `app` gets a separate folder."""
        folder = self._folder
        if app is not None:
            folder = self._folder / f"app-{len(list(self._folder.iterdir()))}"
            folder.mkdir()
        worker = WorkerProcess(
            folder,
            self._worker_url,
            self._app if app is None else LEDGER + app,
            variables={"LEDGER": str(self._folder / "ledger"), "PYTHONPATH": _python_path()},
            under=(),
            python=python,
            **(self._lease | options),
        )
        return self._keep(worker)

    def start_scheduler(
        self, *, python: str | Path = sys.executable, **options: object
    ) -> SchedulerProcess:
        """Starts a scheduler."""
        options = self._lease | options
        return self._keep(
            SchedulerProcess(self._folder, self._scheduler_url, under=(), python=python, **options)
        )

    def _keep(self, process: P) -> P:
        self._processes.append(process)
        self._stack.enter_context(process)
        return process

    def enqueue(
        self,
        name: str,
        numbers: Iterable[int],
        *args: Any,
        queue: str = "default",
        priority: int = 0,
    ) -> None:
        """Enqueues one task per number, which is its first argument, by the real client."""
        task = self.task(name, queue, priority)
        numbers = list(numbers)
        assert task.enqueue_many((number, *args) for number in numbers) == len(numbers)

    def task(self, name: str, queue: str = "default", priority: int = 0) -> Task[..., Any]:
        """The task of the real client; call it to enqueue."""
        task = self._tasks.get((queue, name, priority))
        if task is None:
            declare = self._client.task(name=name, queue=queue, priority=priority)
            self._tasks[queue, name, priority] = task = declare(lambda *args: None)
        return task

    def wait_for_ends(self, count: int) -> None:
        """Waits until `count` tasks have ended well."""
        wait_until(lambda: len(self.ledger.ended()) >= count, what=f"the end of {count} tasks")

    def wait_until_ended(self, numbers: Iterable[int], timeout: float = PATIENCE) -> None:
        """Waits until the ledger has a good end of each of these tasks."""
        wanted = set(numbers)

        def ended() -> bool:
            for process in self._processes:
                # A process that the test killed or drained has not failed.
                assert process.process.poll() not in (1, 2), process.output()
            return wanted <= self.ledger.ended()

        wait_until(
            ended, timeout, lambda: f"the end of {len(wanted)} tasks ({self._missing(wanted)})"
        )

    def _missing(self, wanted: set[int]) -> str:
        lost = sorted(self.ledger.lost(wanted))
        places = {queue: self.waiting(queue) for queue in self.queues()}
        outputs = "\n".join(process.output() for process in self._processes)
        return f"without: {len(lost)}, such as {lost[:10]}; in Redis: {places}; {outputs}"

    def queues(self) -> list[str]:
        """The queues that are registered."""
        return sorted(name.decode() for name in self.redis.smembers(key("queues")))

    def kill_running(self, worker: WorkerProcess) -> set[int]:
        """Kills a worker that runs a task, however slow the machine is. Returns the tasks in
        flight at that moment."""

        def stopped_in_a_task() -> bool:
            worker.process.send_signal(signal.SIGSTOP)
            if any(run.pid == worker.pid and run.end is None for run in self.ledger.runs()):
                return True
            worker.process.send_signal(signal.SIGCONT)
            return False

        wait_until(stopped_in_a_task, what=f"a task that process {worker.pid} runs")
        moment = time.monotonic()
        worker.kill()
        return self.ledger.in_flight(worker.pid, moment)

    def waiting(self, queue: str = "default") -> dict[str, int]:
        """How many tasks each key holds that are not settled; empty keys are left out."""
        places = {key(kind, queue): kind for kind in PLACES}
        patterns = [key(kind, queue, "*") for kind in ("claimed", "inbox", "limit:line")]
        counts = self.redis.eval(COUNT, len(places), *places, *patterns)
        names = [places.get(name.decode(), name.decode()) for name in counts[::2]]
        return dict(zip(names, counts[1::2], strict=True))

    def wait_until_settled(self, queue: str = "default", timeout: float = PATIENCE) -> None:
        """Waits until Redis holds no task of the queue that is not settled."""
        wait_until(
            lambda: not self.waiting(queue), timeout, lambda: f"no task left: {self.waiting(queue)}"
        )

    def stats(self, queue: str = "default") -> dict[str, int]:
        """The queue's counters."""
        return {k.decode(): int(v) for k, v in self.redis.hgetall(key("stats", queue)).items()}
