"""The backends for `support.django_contract`: FluxQueue's, as Django's tests expect them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

from asgiref.sync import sync_to_async
from fluxqueue.django import FluxQueueBackend
from fluxqueue.django.configuration import Configuration
from fluxqueue.django.framework import TaskResult
from fluxqueue_worker.embedded_worker import EmbeddedWorker
from support.waiting import wait_until


class ListingBackend(FluxQueueBackend):
    """Keeps a list of all that it has enqueued, as Django's DummyBackend."""

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.results: list[TaskResult] = []

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult:
        result = super().enqueue(task, args, kwargs)
        self.results.append(result)
        return deepcopy(result)

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult:
        result = await super().aenqueue(task, args, kwargs)
        self.results.append(result)
        return deepcopy(result)

    def clear(self) -> None:
        """Forgets the list, not the tasks."""
        self.results.clear()


@cache
def worker(shared: Any) -> EmbeddedWorker:
    """A worker in this process that knows all tasks of these tests."""
    from fluxqueue.django import declared

    for task in declared.all_loaded():
        shared.definitions.of(task, "default")
    found = EmbeddedWorker(shared.client, queues=("default",))
    found.start()
    return found


class WaitingBackend(FluxQueueBackend):
    """Waits for the end of each task, so that it behaves as Django's ImmediateBackend."""

    @cached_property
    def configuration(self) -> Configuration:
        """Keeps its tasks apart from those of the other backend, which no worker may run."""
        return replace(super().configuration, namespace="waiting")

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult:
        worker(self.shared)
        result = super().enqueue(task, args, kwargs)

        def has_ended() -> bool:
            result.refresh()
            return bool(result.is_finished)

        wait_until(has_ended)
        return result

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult:
        return await sync_to_async(self.enqueue)(task, args, kwargs)
