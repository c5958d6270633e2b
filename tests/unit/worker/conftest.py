from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue, Middleware
from fluxqueue_worker import eventloop
from fluxqueue_worker.application import Application, load
from fluxqueue_worker.around_attempts import AroundAttempts
from fluxqueue_worker.events import TaskEvents
from fluxqueue_worker.options import parse
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.threads import ThreadPool
from support.fake_consumer import FakeAttempt, FakeConsumer
from support.log_lines import Lines


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def consumer() -> Iterator[FakeConsumer]:
    consumer = FakeConsumer()
    yield consumer
    consumer.close()


@pytest.fixture
def events(lines: Lines) -> TaskEvents:
    return TaskEvents(lines.logger())


@pytest.fixture
def outcomes(consumer: FakeConsumer, events: TaskEvents) -> Outcomes:
    return Outcomes(consumer, events)


@pytest.fixture
def queue() -> FluxQueue:
    return FluxQueue("redis://127.0.0.1:1")


@pytest.fixture
def record(queue: FluxQueue) -> Callable[..., Any]:
    """Makes the worker's record of a function, decorated as a task."""
    from fluxqueue_worker.registered_task import RegisteredTask

    def make(func: Callable[..., Any], *, context: bool = False, **options: Any) -> RegisteredTask:
        decorate = queue.task_with_context if context else queue.task
        return RegisteredTask(decorate(**options)(func))

    return make


@pytest.fixture
def loop(
    consumer: FakeConsumer, outcomes: Outcomes, events: TaskEvents
) -> Iterator[eventloop.EventLoop]:
    crashes: list[BaseException] = []
    pool = ThreadPool(consumer, outcomes, events, crashes.append)
    loop = eventloop.EventLoop(consumer, outcomes, events, crashes.append)
    pool.start_thread()
    loop.start()
    yield loop
    consumer.drain()
    assert pool.join(10) and loop.stop(10)
    assert not crashes


@pytest.fixture
def make(
    loop: eventloop.EventLoop, outcomes: Outcomes, record: Callable[..., Any]
) -> Callable[..., Any]:
    """Makes the worker's record of a task with middleware."""

    def make(func: Callable[..., Any], *middleware: Middleware, **options: Any) -> Any:
        task = record(func, middleware=middleware, **options)
        task.prepare(None, AroundAttempts(outcomes, loop).inside((), task))
        return task

    return make


@pytest.fixture
def run(make: Callable[..., Any], consumer: FakeConsumer) -> Callable[..., Any]:
    """Runs one attempt of a function inside of middleware; returns how it was settled."""

    def run(
        func: Any,
        *middleware: Middleware,
        args: tuple[Any, ...] = (),
        headers: dict[str, str] | None = None,
        retries: int = 0,
        **options: Any,
    ) -> tuple[str, tuple[Any, ...]]:
        task = make(func, *middleware, **options)
        attempt = FakeAttempt(
            task, list(args), name=func.__name__, headers=headers, retries=retries
        )
        consumer.put(attempt)
        consumer.wait_for(lambda: attempt.settled)
        return consumer.outcome(attempt)

    return run


_modules = itertools.count()


@pytest.fixture
def load_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Application]:
    """Loads a module with this source as a worker with these arguments does. `attribute`
    follows the name of the module in `-t`."""
    for name in list(os.environ):
        if name.startswith("FLUXQUEUE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def load_source(source: str, *arguments: str, attribute: str = "") -> Application:
        module = f"loaded_{next(_modules)}"
        (tmp_path / f"{module}.py").write_text(source)
        for name in ("FLUXQUEUE_REDIS_URL", "FLUXQUEUE_NAMESPACE"):
            # `load` sets it, and this restores it.
            monkeypatch.setenv(name, os.environ.get(name, ""))
        return load(parse(["-t", module + attribute, *arguments], "x"))

    return load_source
