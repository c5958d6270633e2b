"""The worker in the process of a web server, for small deployments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from .installing import needs

if TYPE_CHECKING:
    from fluxqueue_worker.embedded_worker import EmbeddedWorker

    from .client import FluxQueue


class WorkerOptions(TypedDict, total=False):
    """The options of the worker, by the names and defaults of `fluxqueue start`.

    Attributes:
        queues: the queues that it serves; by default all that the tasks declare.
        concurrency: how many tasks run at once (4).
        drain_timeout: seconds that running tasks may continue when the server ends (30).
        lease: seconds after the death of the process until others get its tasks (10).
        timeout_grace: seconds after its timeout until a task counts as stuck (5).
        unknown_task_grace: seconds to keep a task that no worker knows (300).
        save_dead_tasks: whether to keep dead tasks (True).
    """

    queues: Sequence[str]
    concurrency: int
    drain_timeout: float
    lease: float
    timeout_grace: float
    unknown_task_grace: float
    save_dead_tasks: bool


def web_worker(objects: Sequence[FluxQueue], options: WorkerOptions) -> EmbeddedWorker:
    """Returns a worker of these objects that has not started.

    Raises:
        ConfigurationError: the package of the worker is not installed, or a value is out of
            range.
    """
    with needs("fluxqueue-worker", "run_worker=True"):
        from fluxqueue_worker.embedded_worker import EmbeddedWorker
    return EmbeddedWorker(*objects, **options)
