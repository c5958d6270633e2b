from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_worker.application import Application, load
from fluxqueue_worker.events import TaskEvents
from fluxqueue_worker.options import parse
from fluxqueue_worker.outcomes import Outcomes
from support.fake_consumer import FakeConsumer
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
