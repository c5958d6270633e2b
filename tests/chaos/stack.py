"""One run's processes (Redis, workers, schedulers, clients and a waiter), and what a fault
may do to them.

All settings are the defaults. A fault that ends a worker, or keeps it from Redis for
longer than its lease, says so by `lose` or `kill`: the tasks in flight there may run
twice, and no others may.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar
from unittest.mock import patch

import redis
from fluxqueue import FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_core import key
from redis.backoff import NoBackoff
from redis.retry import Retry
from support.logging_process import LoggingProcess
from support.proxy import Proxy
from support.scheduler_process import SchedulerProcess
from support.waiting import wait_until
from support.worker_process import WorkerProcess

from . import moments
from .application import APP
from .death_watch import DeathWatch
from .evidence import Loss, Outage
from .fault import CLIENT, SCHEDULER, WORKER, Setup
from .ledger import ENDS, RETURNED, Ledger, now
from .remains import read_remains

TESTS = str(Path(__file__).parent.parent)
WORKERS, SCHEDULERS = 3, 2
# Numbers of tasks: each client process has its own million.
NUMBERS = 1_000_000
QUEUE = "default"
P = TypeVar("P", bound=LoggingProcess)


class Stack:
    """See the module's text.

    Args:
        folder: for all files of the run.
        setup: what the fault asks for.
        chance: for the seeds of the clients.

    Attributes:
        ledger: what has happened so far.
        server: Redis. Call its `kill` and `start` inside `outage`.
        workers, schedulers, clients, waiters: those that are there now.
        losses, outages, clock_jumped: for the checker.
        first_moments: of the periodic tasks.
        violations: what a fault itself has found to be wrong.
        lock: held while a victim is chosen.
        deaths_expected: how many contexts of `deaths` are open.
        redis_lock: held as long as something is wrong with Redis itself.
    """

    def __init__(self, folder: Path, setup: Setup, chance: random.Random) -> None:
        self.folder = folder
        self.setup = setup
        self.ledger = Ledger(folder / "ledger")
        self.workers: list[WorkerProcess] = []
        self.schedulers: list[SchedulerProcess] = []
        self.clients: list[LoggingProcess] = []
        self.waiters: list[LoggingProcess] = []
        self.losses: list[Loss] = []
        self.outages: list[Outage] = []
        self.writes_lost: list[Outage] = []
        self.violations: list[str] = []
        self.clock_jumped = False
        self.first_moments: dict[int, int] = {}
        self.deaths_expected = 0
        self.lock = threading.RLock()
        self.redis_lock = threading.RLock()
        self._chance = chance
        self._contexts = ExitStack()
        self._proxies: dict[int, Proxy] = {}
        self._started: dict[str, int] = {}
        self._millions: dict[int, int] = {}
        self._ended: set[int] = set()
        self._taken: set[int] = set()
        self._own_numbers = iter(range(900 * NUMBERS, 1000 * NUMBERS))
        data = self._contexts.enter_context(setup.redis_folder(folder))
        self.server = EmbeddedRedis(
            data / "redis", appendfsync=setup.appendfsync, options=setup.redis_options
        )
        self._redis_variables = setup.environment("redis", 0, folder)

    # Starting and ending

    def __enter__(self) -> Self:
        try:
            self.start_redis()
            self._contexts.callback(self.server.stop)
            moments.schedule(self.server.url, QUEUE)
            self.first_moments = self.admin(lambda client: moments.read_next(client, QUEUE))
            for _ in range(SCHEDULERS):
                self.start_scheduler()
            for _ in range(WORKERS):
                self.start_worker()
            self.start_client()
            self.start_client(asynchronous=True)
            self.start_waiter()
            self.wait_until_steady()
        except BaseException:
            self._contexts.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(RuntimeError, ProcessLookupError):
            os.kill(self.server.pid, signal.SIGCONT)
        self._contexts.close()
        self.ledger.close()

    def start_redis(self) -> None:
        """Starts it, again after `server.kill()`, with the setup's variables."""
        with patch.dict(os.environ, self._redis_variables):
            self.server.start()

    def start_worker(self) -> WorkerProcess:
        url, variables, proxy = self._surroundings(WORKER)
        worker = WorkerProcess(
            self.folder,
            url,
            APP + self.setup.tasks,
            variables=variables,
            log_level="warning",
        )
        return self._keep(worker, self.workers, proxy)

    def start_scheduler(self) -> SchedulerProcess:
        url, variables, proxy = self._surroundings(SCHEDULER)
        with patch.dict(os.environ, variables):
            scheduler = SchedulerProcess(self.folder, url, log_level="warning")
        return self._keep(scheduler, self.schedulers, proxy)

    def start_client(self, *, asynchronous: bool = False) -> LoggingProcess:
        url, variables, proxy = self._surroundings(CLIENT)
        million = self._started[CLIENT]
        options: dict[str, object] = {
            "ledger": self.folder / "ledger",
            "first": million * NUMBERS,
            "seed": self._chance.randrange(2**32),
        }
        if asynchronous:
            options["asynchronous"] = True
        client = LoggingProcess(self.folder, url, "chaos.client_process", options, variables)
        self._millions[client.pid] = million
        return self._keep(client, self.clients, proxy)

    def start_waiter(self) -> LoggingProcess:
        url, variables, proxy = self._surroundings(CLIENT)
        options = {"ledger": self.folder / "ledger"}
        waiter = LoggingProcess(self.folder, url, "chaos.waiter_process", options, variables)
        return self._keep(waiter, self.waiters, proxy)

    def _surroundings(self, role: str) -> tuple[str, dict[str, str], Proxy | None]:
        """The URL, the variables, and the proxy that the URL leads to."""
        number = self._started[role] = self._started.get(role, 0) + 1
        proxy = None
        if role in self.setup.proxied:
            proxy = self._contexts.enter_context(Proxy(self.server.port))
        variables = {"LEDGER": str(self.folder / "ledger"), "PYTHONPATH": TESTS}
        variables |= self.setup.environment(role, number, self.folder)
        return (proxy or self.server).url, variables, proxy

    def _keep(self, process: P, group: list[P], proxy: Proxy | None) -> P:
        self._contexts.enter_context(process)
        if proxy is not None:
            self._proxies[process.pid] = proxy
        with self.lock:
            group.append(process)
        return process

    def wait_until_steady(self) -> None:
        """Waits until every worker has begun a task, every client's call has
        returned, and Redis has seen a scheduler."""

        def steady() -> bool:
            self.check_alive()
            history = self.ledger.history()
            begun = {run.pid for run in history.runs}
            clients = {
                number // NUMBERS
                for number, call in history.calls.items()
                if call.outcome == RETURNED
            }
            return (
                begun.issuperset(worker.pid for worker in self.workers)
                and clients.issuperset(self._millions[client.pid] for client in self.clients)
                and history.waiters.issuperset(waiter.pid for waiter in self.waiters)
                and self.admin(lambda client: client.hexists(key("sweep", QUEUE), "last"))
            )

        wait_until(steady, timeout=90, what="work in every process of the stack", interval=0.05)

    # Used by faults

    @contextmanager
    def take(self, group: list[P], chance: random.Random, busy: bool = False) -> Iterator[P]:
        """One of these processes, which no other fault takes meanwhile.

        Args:
            busy: a worker that runs something, and nothing that has lost a worker
                before: such tasks run alone after their second loss, one after
                the other, and that takes its time (`worker_killed_again`).
        """

        def choose() -> P | None:
            with self.lock:
                free = [process for process in group if process.pid not in self._taken]
                if not free:
                    return None
                victim = chance.choice(free)
                if busy and not self._runs_first_attempts(victim):
                    return None
                self._taken.add(victim.pid)
                return victim

        victim = wait_until(choose, timeout=60, what="a process to choose")
        assert victim is not None
        try:
            yield victim
        finally:
            with self.lock:
                self._taken.discard(victim.pid)

    def _runs_first_attempts(self, process: LoggingProcess) -> bool:
        history = self.ledger.history()
        running = history.in_flight(process.pid, now())
        tried = history.by_number()
        return bool(running) and all(len(tried[run.number]) == 1 for run in running)

    def _groups(self) -> tuple[list[Any], ...]:
        return self.workers, self.schedulers, self.clients, self.waiters

    def _present(self) -> list[LoggingProcess]:
        return [process for group in self._groups() for process in group]

    def pids(self) -> list[int]:
        """Of all processes that are there, Redis among them."""
        with self.lock:
            return [self.server.pid, *(process.pid for process in self._present())]

    def proxy_of(self, process: LoggingProcess) -> Proxy:
        """Between the process and Redis, where its role is in `Setup.proxied`."""
        return self._proxies[process.pid]

    def proxies(self) -> list[Proxy]:
        """Those of the processes that are there."""
        with self.lock:
            pids = [process.pid for process in self._present()]
            return [self._proxies[pid] for pid in pids if pid in self._proxies]

    def kill(self, process: LoggingProcess, *, draining: bool = False) -> float:
        """SIGKILL; returns when. A worker's tasks may run twice then.

        Args:
            draining: it may have come to its end meanwhile, with 0. It is not killed
                then (`was_killed`), and what it ran may not run twice.

        Raises:
            AssertionError: it had ended before.
        """
        with self.lock:
            self._ended.add(process.pid)
        began = now()
        process.kill()
        if was_killed(process):
            if process in self.workers:
                self.lose(process.pid, began, now())
        elif not (draining and process.process.returncode == 0):
            raise AssertionError(f"it had ended before it was killed: {process.output()}")
        self._forget(process)
        return began

    def gone(self, process: LoggingProcess) -> None:
        """The process has ended as the fault wanted it to, by itself or by `stop`."""
        with self.lock:
            self._ended.add(process.pid)
        self._forget(process)

    def _forget(self, process: LoggingProcess) -> None:
        with self.lock:
            for group in self._groups():
                if process in group:
                    group.remove(process)

    def stop(self, process: LoggingProcess, timeout: float = 45.0) -> None:
        """SIGTERM and the wait for the end, which has to be with 0."""
        with self.lock:
            self._ended.add(process.pid)
        code = process.stop(timeout)
        if code != 0:
            self.violations.append(f"ended with {code} after SIGTERM: {process.output()}")
        self._forget(process)

    def lose(self, pid: int, began: float, ended: float) -> None:
        """Allows the tasks that this worker had in flight in that time to run twice."""
        with self.lock:
            self.losses.append(Loss(pid, began, ended))

    @contextmanager
    def outage(self, pids: tuple[int, ...] | None = None) -> Iterator[None]:
        """While Redis can't be used, by all or by these processes: outcomes wait."""
        outage = Outage(now(), float("inf"), pids)
        with self.lock:
            self.outages.append(outage)
        try:
            yield
        finally:
            outage.ended = now()

    def admin(self, ask: Callable[[Any], Any], patience: float = 30.0) -> Any:
        """Asks Redis, past all proxies; retries while it is down or loading."""

        def attempt() -> list[Any]:
            with (
                contextlib.suppress(redis.ConnectionError, redis.TimeoutError),
                redis.Redis(
                    port=self.server.port, socket_timeout=60, retry=Retry(NoBackoff(), 0)
                ) as client,
            ):
                return [ask(client)]
            return []

        return wait_until(attempt, timeout=patience, what="an answer of Redis")[0]

    def enqueue(self, name: str, *arguments: Any, expected: str = ENDS, **options: Any) -> int:
        """Calls a task of the setup's `tasks`; its number is its first argument.
        Returns that number.

        Args:
            expected: `end`, or `dead:<reason>`.
            options: of `FluxQueue.task`, as the task was declared with.
        """
        number = next(self._own_numbers)
        self.ledger.called(number, 1, expected)
        client = FluxQueue(self.server.url)
        client.task(name=name, **options)(_any)(number, *arguments)
        client.close()
        self.ledger.answered(RETURNED, number)
        return number

    def wait_until_dead(self, number: int, timeout: float = 90.0) -> None:
        """Waits until the dead set has this task."""

        def dead() -> bool:
            return number in self.admin(lambda client: read_remains(client, QUEUE)).dead

        wait_until(dead, timeout, what=f"the death of task {number}")

    @contextmanager
    def deaths(self) -> Iterator[None]:
        """In this time workers and their lanes may die by themselves: each worker
        is replaced, and what was in flight may run twice."""
        watch = DeathWatch(self)
        watch.start()
        try:
            yield
        finally:
            watch.stop()

    def check_alive(self) -> None:
        """Raises:
        AssertionError: a process has ended that no fault has ended.
        """
        with self.lock:
            if self.deaths_expected:
                return
            for process in self._present():
                if process.pid not in self._ended and process.process.poll() is not None:
                    raise AssertionError(f"a process died by itself: {process.output()}")


def was_killed(process: LoggingProcess) -> bool:
    """Whether a SIGKILL has ended it, and not something before."""
    return process.process.returncode == -signal.SIGKILL


def _any(*arguments: Any) -> None: ...
