"""Tasks of Django, and one of FluxQueue."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.db import connection
from fluxqueue import FluxQueue, Reject, Snooze
from fluxqueue.django import client

from .apps import note

if django.VERSION >= (6, 0):
    from django.tasks import TaskContext, task
else:
    from django_tasks import TaskContext, task

fluxqueue = FluxQueue()


@fluxqueue.task()
def plain(text: str) -> None:
    note(text)


@client().task(queue="mails")
def plain_of_client(text: str) -> None:
    note(text)


@task
def add(a: Any, b: Any) -> Any:
    return [a, (b, b), {"sum": a + b}]


@task()
async def add_async(a: int, b: int = 0) -> int:
    await asyncio.sleep(0)
    return a + b


@task(queue_name="mails", priority=50)
def mail(to: str, *, when: datetime.date) -> str:
    # The annotation converts nothing: Django's arguments are JSON.
    return f"{to} {type(when).__name__}"


@task(takes_context=True)
def fail_at_first(context: TaskContext, times: int) -> list[object]:
    if context.attempt <= times:
        raise ValueError("not yet")
    return [context.attempt, context.task_result.id]


@task(takes_context=True)
async def fail_at_first_async(context: TaskContext, times: int) -> list[object]:
    await asyncio.sleep(0)
    if context.attempt <= times:
        raise ValueError("not yet")
    return [context.attempt, context.task_result.id]


class OddError(Exception):
    """An error that is not a builtin one."""


@task
def fail() -> None:
    raise OddError("no good")


@task
async def fail_async() -> None:
    raise OddError("no good")


@task
def reject() -> None:
    raise Reject("never")


@task(takes_context=True)
def snooze_once(context: TaskContext) -> Any:
    if context.attempt == 1:
        raise Snooze(delay=0.01)
    return context.attempt


@task
def return_a_set() -> set[int]:
    return {1}


@task
def exit_process() -> None:
    raise SystemExit("bye")


@task
def wait(seconds: float) -> str:
    import time

    time.sleep(seconds)
    return "slept"


@task
def use_database() -> list[bool]:
    """Whether the thread has an open connection, before and after a query."""
    before = connection.connection is not None
    connection.ensure_connection()
    return [before, connection.connection is not None]


@task
async def use_database_async() -> Any:
    return await sync_to_async(use_database.func)()
