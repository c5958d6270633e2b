"""Middleware is checked when it is declared, and a task without it pays nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, get_args

import pytest
from fluxqueue import FluxQueue, Middleware
from fluxqueue.keyed_task import KeyedTask
from fluxqueue.middleware import AttemptOutcome, AttemptSteps, EnqueueSteps, Status
from fluxqueue.task import Task


class Both(Middleware):
    def attempt(self, attempt: Any) -> AttemptSteps:
        yield

    def enqueue(self, call: Any) -> EnqueueSteps:
        yield


class Plain(Middleware):
    def attempt(self, attempt: Any) -> None: ...  # type: ignore[override]


class AsyncPlain(Middleware):
    async def enqueue_async(self, call: Any) -> None: ...  # type: ignore[override]


class WrongKind(Middleware):
    async def attempt(self, attempt: Any) -> Any:
        yield


class Wrapped(Middleware):
    @functools.lru_cache  # noqa: B019
    def attempt(self, attempt: Any) -> AttemptSteps:
        yield


def by_client(middleware: Any) -> object:
    return FluxQueue("redis://127.0.0.1:1", middleware=middleware)


def by_task(middleware: Any) -> object:
    return FluxQueue("redis://127.0.0.1:1").task(middleware=middleware)


def by_context(middleware: Any) -> object:
    return FluxQueue("redis://127.0.0.1:1").task_with_context(middleware=middleware)


def by_declare(middleware: Any) -> object:
    return FluxQueue("redis://127.0.0.1:1").declare("elsewhere", middleware=middleware)


@pytest.mark.parametrize("declare", [by_client, by_task, by_context, by_declare])
@pytest.mark.parametrize(
    ("middleware", "text"),
    [
        (Both, "middleware must be a list of middleware, not type"),
        (Both(), "middleware must be a list of middleware, not Both"),
        (None, "middleware must be a list of middleware, not NoneType"),
        ("Both", "middleware must be a list of middleware, not str"),
        ([Both], r"middleware must have instances; write Both\(\) in place of Both"),
        ([print], "instances of fluxqueue.Middleware, not builtin_function_or_method; make your"),
        (
            [Plain()],
            r"Plain.attempt must be a generator function: write `def attempt\(self, ...\)`",
        ),
        (
            [AsyncPlain()],
            "AsyncPlain.enqueue_async must be .* `async def enqueue_async",
        ),
        ([WrongKind()], "WrongKind.attempt must be a generator function"),
        ([Wrapped()], "Wrapped.attempt must be a generator function"),
    ],
)
def test_a_bad_middleware_is_refused_with_the_remedy(
    declare: Callable[[Any], object], middleware: Any, text: str
) -> None:
    with pytest.raises(TypeError, match=text):
        declare(middleware)


def test_that_of_the_client_is_around_that_of_the_task() -> None:
    outer, inner = Both(), Both()
    queue = FluxQueue("redis://127.0.0.1:1", middleware=[outer])

    @queue.periodic("0 0 * * *")
    @queue.task(middleware=[inner])
    def work() -> None: ...

    assert work.terms.middleware == (outer, inner)
    assert type(work) is KeyedTask


def test_a_task_without_middleware_around_its_calls_is_a_plain_one() -> None:
    class Attempts(Middleware):
        def attempt(self, attempt: Any) -> AttemptSteps:
            yield

    queue = FluxQueue("redis://127.0.0.1:1")
    for middleware in ([], [Attempts()], [Middleware()]):
        task = queue.task(name=f"work{len(queue.tasks)}", middleware=middleware)(lambda: None)
        assert type(task) is Task
        assert task._enqueue == task._producer.enqueue


def test_a_list_may_change_later() -> None:
    found: list[Middleware] = [Both()]
    queue = FluxQueue("redis://127.0.0.1:1", middleware=found)
    task = queue.task(name="work", middleware=found)(lambda: None)
    found.clear()
    assert len(task.terms.middleware) == 2


def test_an_outcome_says_what_it_means() -> None:
    ends = {"succeeded", "dead", "cancelled"}
    for status in get_args(Status):
        outcome = AttemptOutcome(status)
        assert outcome.is_final == (status in ends)
        assert outcome.is_failure == (status in ("retried", "dead"))
        assert status in repr(outcome)
