"""Finds the task of a message, as this process declares it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from fluxqueue.broker import Broker
from fluxqueue.task import AnyTask

from .record import TaskRecord


def task_of(record: TaskRecord, brokers: Iterable[Broker]) -> AnyTask | None:
    """Returns the task of the object that made the call, or of another object with the same Redis
    and namespace. As in a worker, a queue also serves a task that only another queue declares.

    Args:
        brokers: those of all objects.
    """
    known: list[AnyTask] = []
    for broker in (record.broker, *brokers):
        settings = broker.settings
        if (settings.url, settings.namespace) == record.place[:2]:
            tasks = (cast("AnyTask", task) for task in broker.tasks)
            known += (task for task in tasks if task.task_name == record.name)
    with_code = [task for task in known if task.has_code]
    for found in (with_code, known):
        same = [task for task in found if task.queue == record.place.queue]
        if same or found:
            return (same or found)[0]
    return None
