"""Tasks have one outcome inline, captured and with a real worker: the table of cases."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fluxqueue import FluxQueue, ResultError
from fluxqueue.testing import captured, inline, worker
from support.task_cases import Bench, Start, cases

if TYPE_CHECKING:
    from fluxqueue.embedded import EmbeddedRedis

# The outcome of a task, as a test can see it.
Outcome = dict[str, Any]
DELAYED = ("task.retry", "task.snoozed")


def outcome(handle: Any, bench: Bench, delays: list[float]) -> Outcome:
    """A task that has ended, as its caller and the task itself see it."""
    # Tasks of a real worker run at the same time.
    noted = sorted(map(repr, bench.seen))
    seen: Outcome = {"state": handle.status(), "seen": noted, "delays": delays}
    seen["progress"] = handle.progress()
    try:
        seen["result"] = handle.result(0)
    except ResultError as error:
        seen |= {
            "error": type(error).__name__,
            "text": str(error).replace(handle.id, "ID"),
            "error_type": error.error_type,
            "error_text": error.error_text,
            "attempts": error.attempts,
            "traceback": _ends_of(error.remote_traceback or ""),
        }
    return seen


def _ends_of(traceback: str) -> list[str]:
    """The first frame, which is the application's, and the error. The last frame may be that of
    the core, which has no Python."""
    lines = traceback.splitlines()
    return [*lines[:2], *lines[-1:]]


class Delays(logging.Handler):
    """Collects the delays that a worker logs, by task."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str, list[float]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().split(" ")[0] in DELAYED:
            fields = record.fluxqueue  # type: ignore[attr-defined]
            self.of.setdefault(fields["task_id"], []).append(fields["delay"])


def begun(name: str) -> tuple[FluxQueue, Bench, Start]:
    queue = FluxQueue("redis://127.0.0.1:1")
    bench = Bench(queue, name)
    return queue, bench, cases[name][1](bench)


@pytest.fixture(scope="module")
def real(redis_server: EmbeddedRedis) -> Iterator[dict[str, Outcome]]:
    """The outcomes of all cases with one real worker."""
    queue, delays = FluxQueue("redis://127.0.0.1:1"), Delays()
    logger = logging.getLogger("fluxqueue.worker")
    level = logger.level
    logger.addHandler(delays)
    logger.setLevel(logging.INFO)
    benches = {name: Bench(queue, name) for name in cases}
    starts = {name: case(benches[name]) for name, (_, case) in cases.items()}
    try:
        with worker(queue, redis_url=redis_server.url, concurrency=8) as tasks:
            handles = {name: start() for name, start in starts.items()}
            tasks.drain()
            yield {
                name: outcome(handle, benches[name], delays.of.get(handle.id, []))
                for name, handle in handles.items()
            }
    finally:
        logger.removeHandler(delays)
        logger.setLevel(level)


@pytest.mark.parametrize("name", cases)
def test_a_task_has_the_outcome_of_a_real_worker_inline(
    name: str, real: dict[str, Outcome]
) -> None:
    queue, bench, start = begun(name)
    with inline(queue, raise_errors=False) as tasks:
        handle = start()
        [delays] = [call.delays for call in tasks.calls if call.id == handle.id]
        found = outcome(handle, bench, delays)
    assert found == real[name]
    assert found["state"] == cases[name][0]


@pytest.mark.parametrize("name", cases)
def test_a_task_has_the_outcome_of_a_real_worker_when_captured_calls_run(
    name: str, real: dict[str, Outcome]
) -> None:
    queue, bench, start = begun(name)
    with captured(queue, raise_errors=False) as tasks:
        handle = start()
        assert {call.state for call in tasks.calls} == {"waiting"}
        tasks.drain()
        [delays] = [call.delays for call in tasks.calls if call.id == handle.id]
        found = outcome(handle, bench, delays)
    assert found == real[name]


def test_the_table_has_enough_cases() -> None:
    assert len(cases) >= 30
