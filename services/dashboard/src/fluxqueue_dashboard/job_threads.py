"""Runs the jobs that visitors have started, each in its own thread.

A job that the end of the dashboard stops can be resumed, from here or from a terminal.

Why: docs/decisions/0204-the-dashboard-runs-the-jobs-of-its-visitors.md
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator

from fluxqueue_control import jobs
from fluxqueue_control.actor import acting
from fluxqueue_control.errors import UNAVAILABLE, full_text
from fluxqueue_control.jobs import Job, JobIsRunning
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.servers import Servers
from fluxqueue_control.topology import NoCluster
from fluxqueue_core import Settings
from redis.exceptions import RedisError

# Jobs that run at once. A further one is refused.
MOST = 4
# Seconds that the end of the dashboard waits for the jobs, which look for it each second.
_PATIENCE = 3.0
# Jobs whose failure is remembered.
_REMEMBERED = 100


class TooManyJobs(RuntimeError):
    """As many jobs run as may run at once."""


class JobThreads:
    """The jobs of one dashboard.

    Args:
        client_name: shown by `CLIENT LIST`.
    """

    def __init__(self, settings: Settings, client_name: str) -> None:
        self._servers = Servers(settings, client_name=client_name)
        self._lock = threading.Lock()
        self._running: dict[str, threading.Thread | None] = {}
        self._failures: dict[str, str] = {}
        self._closing = threading.Event()

    def run(self, queue: str, job: Job, visitor: str) -> None:
        """Performs the first step of a job that is written down, and the others in a thread.

        Args:
            visitor: the name for the audit.

        Raises:
            TooManyJobs: others run. This one has not begun, and can be resumed.
            ResponseError, UNAVAILABLE: as `jobs.run`, in the first step.
        """
        self._begin(job.id, visitor, jobs.run(self._client(queue), queue, job))

    def resume(self, queue: str, job_id: str, visitor: str) -> None:
        """Goes on with a job in a thread.

        Raises:
            LookupError, JobIsRunning: as `jobs.resume`.
            TooManyJobs, ResponseError, UNAVAILABLE: as `run`.
        """
        self._begin(job_id, visitor, jobs.resume(self._client(queue), queue, job_id))

    def failure(self, job_id: str) -> str:
        """Returns why a job was stopped here; '' if no error has stopped it."""
        return self._failures.get(job_id, "")

    def close(self) -> None:
        """Stops all jobs after their present step, and closes the connections."""
        self._closing.set()
        with self._lock:
            threads = [thread for thread in self._running.values() if thread is not None]
        for thread in threads:
            thread.join(_PATIENCE)
        self._servers.close()

    def _client(self, queue: str) -> Callable[[], RedisClient]:
        return lambda: self._servers.of_queue(queue)

    def _begin(self, job_id: str, visitor: str, steps: Iterator[Job]) -> None:
        with self._lock:
            if job_id in self._running:
                raise JobIsRunning(f"job {job_id!r} runs in this dashboard already")
            if len(self._running) >= MOST:
                raise TooManyJobs(f"{MOST} jobs run already")
            self._running[job_id] = None
        self._failures.pop(job_id, None)
        # Daemonic: in an application that mounts the dashboard, nothing may call `close`.
        thread = threading.Thread(
            target=self._go_on, args=(job_id, visitor, steps), name="fluxqueue-job", daemon=True
        )
        is_under_way = False
        try:
            # A refusal of Redis is an answer to the visitor.
            with acting(visitor):
                next(steps, None)
            with self._lock:
                self._running[job_id] = thread
            thread.start()
            is_under_way = True
        finally:
            if not is_under_way:
                self._running.pop(job_id, None)

    def _go_on(self, job_id: str, visitor: str, steps: Iterator[Job]) -> None:
        try:
            with acting(visitor):
                for _ in steps:
                    if self._closing.is_set():
                        assert isinstance(steps, Generator)
                        # The record says that it is stopped.
                        steps.close()
        except JobIsRunning:
            pass  # another process has taken it over
        except (RedisError, NoCluster, *UNAVAILABLE) as error:
            self._failures[job_id] = full_text(error)
            while len(self._failures) > _REMEMBERED:
                self._failures.pop(next(iter(self._failures)))
        finally:
            self._running.pop(job_id, None)
