"""`FluxQueueBackend`: tasks of Django in FluxQueue."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from fluxqueue_core import new_task_id

from fluxqueue.errors import ConfigurationError

from . import declared
from .checks import check_backend
from .configuration import Configuration
from .flux_task import FluxTask
from .framework import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    task_backends,
)
from .prepared_call import PreparedCall
from .reading import read_result
from .results import new_result
from .shared_client import SharedClient, shared_client

if TYPE_CHECKING:
    from fluxqueue.client import FluxQueue

# The variable that tells a worker which backend's tasks it runs.
WORKER_ALIAS = "FLUXQUEUE_DJANGO_BACKEND"


class FluxQueueBackend(BaseTaskBackend):
    """The backend for `settings.TASKS`. docs/django.md has its OPTIONS.

    Raises:
        ImproperlyConfigured: when it is used first, if an option is not valid.
    """

    task_class = FluxTask
    supports_defer = True
    supports_async_task = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        queues = params.get("QUEUES", [])
        self._refused: str | None = None
        if isinstance(queues, str) or not isinstance(queues, Collection):
            self._refused = f"QUEUES must be a list, not {type(queues).__name__}"
            params = {**params, "QUEUES": []}
        super().__init__(alias, params)

    @property
    def supports_get_result(self) -> bool:
        """Whether results are kept: unless RESULT_TTL is None."""
        return self.configuration.result_ttl is not None

    @cached_property
    def configuration(self) -> Configuration:
        """The checked OPTIONS."""
        try:
            if self._refused is not None:
                raise TypeError(self._refused)
            return Configuration.read(self.options)
        except (TypeError, ConfigurationError) as error:
            raise ImproperlyConfigured(f"TASKS[{self.alias!r}]: {error}") from error

    @cached_property
    def shared(self) -> SharedClient:
        """The client, shared with the other backend objects of this process."""
        return shared_client(self.configuration)

    def validate_task(self, task: Task) -> None:
        """Checks a task, with its options.

        Raises:
            InvalidTask: it is not valid here.
        """
        super().validate_task(task)
        try:
            self.shared.definitions.check(task)
        except (TypeError, ConfigurationError) as error:
            raise InvalidTask(f"{task.module_path}: {error}") from error
        declared.declare(task)

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        """Enqueues a task. With ENQUEUE_ON_COMMIT it does so when the transaction is
        committed; until then `enqueued_at` of the result is None.

        Raises:
            InvalidTask: the task is not valid here.
            TypeError, ValueError: JSON can't carry an argument, or the call does not fit.
            BrokerError, BrokerUnavailable: nothing was enqueued.
            EnqueueUncertain: the connection broke after the task had been written.
        """
        result, sending = self._prepared(task, args, kwargs)
        alias = self.configuration.enqueue_on_commit
        if alias is None:
            sending.send()
        else:
            transaction.on_commit(sending.send, using=alias)
        return result

    async def aenqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        """As `enqueue`, on the running event loop."""
        if self.configuration.enqueue_on_commit is not None:
            # The transaction is that of the connection in this thread.
            return await sync_to_async(self.enqueue)(task, args, kwargs)
        result, sending = self._prepared(task, args, kwargs)
        await sending.send_async()
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """Reads a result, in any process.

        Raises:
            TaskResultDoesNotExist: there is no such task, or its result has expired.
            BrokerError, BrokerUnavailable: Redis refused, or was not reachable in time.
        """
        ttl = self.configuration.result_ttl
        if ttl is None:
            return super().get_result(result_id)
        result = read_result(self.shared.records, ttl, result_id)
        if result is None:
            raise TaskResultDoesNotExist(result_id)
        return result

    async def aget_result(self, result_id: str) -> TaskResult:
        """As `get_result`, in a thread, so that the event loop goes on."""
        from fluxqueue_control.aio.twins import in_thread

        return await in_thread(self.get_result, result_id)

    def check(self, **kwargs: Any) -> Iterable[checks.CheckMessage]:
        """Returns messages about wrong settings."""
        return check_backend(self.alias, self.queues, lambda: self.configuration)

    def close(self) -> None:
        """Closes the connections of this thread, and those for results. A later call connects
        again."""
        self.shared.client.close()
        self.shared.records.close()

    def _prepared(self, task: Task, args: Any, kwargs: Any) -> tuple[TaskResult, PreparedCall]:
        self.validate_task(task)
        result = new_result(task, new_task_id(), args, kwargs, self.alias)
        return result, PreparedCall(type(self), self.shared, result, self.supports_get_result)


def client(alias: str = "default") -> FluxQueue:
    """Returns the client of a backend, to declare tasks of FluxQueue with:
    `@client().task()`. They share its Redis and its connections, and the worker runs them too.

    Raises:
        ImproperlyConfigured: the backend of this alias is another one.
    """
    backend = task_backends[alias]
    if not isinstance(backend, FluxQueueBackend):
        raise ImproperlyConfigured(
            f"TASKS[{alias!r}] has the backend {type(backend).__name__}, not FluxQueueBackend"
        )
    return backend.shared.client
