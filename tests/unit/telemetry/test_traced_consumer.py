"""What happens around a job that is traced, with a consumer made up for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import Settings
from fluxqueue_worker import options
from fluxqueue_worker.registered_task import RegisteredTask
from fluxqueue_worker.tracing import Tracing
from fluxqueue_worker.tracing_loops import TracedConsumer
from opentelemetry.trace import StatusCode, get_current_span
from support.fake_consumer import FakeConsumer, FakeJob
from support.telemetry import Recorded

HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"


@pytest.fixture
def consumer() -> Iterator[FakeConsumer]:
    consumer = FakeConsumer()
    yield consumer
    consumer.close()


@pytest.fixture
def traced(consumer: FakeConsumer, recorded: Recorded) -> TracedConsumer:
    return make(consumer)


def make(consumer: Any) -> TracedConsumer:
    url = "redis://127.0.0.1:1"
    tracing = Tracing.of_process(options.parse(["-t", "a", "-r", url], "w"), Settings(url))
    assert tracing is not None
    return TracedConsumer(consumer, consumer, tracing)


@pytest.fixture
def job() -> Any:
    def order() -> None: ...

    return FakeJob(RegisteredTask(FluxQueue("redis://127.0.0.1:1").task()(order)))


def test_the_context_ends_with_the_next_job(
    traced: TracedConsumer, consumer: FakeConsumer, job: Any
) -> None:
    consumer.put(job)
    taken = traced.take()
    assert taken is job and taken is not None
    assert get_current_span().is_recording()
    traced.succeed(taken)
    consumer.drain()
    assert traced.take() is None
    assert not get_current_span().get_span_context().is_valid


def test_a_void_outcome_is_an_error_of_settling(
    traced: TracedConsumer, consumer: FakeConsumer, job: Any, recorded: Recorded
) -> None:
    consumer.lost.add(job)
    traced.begin(job)
    assert traced.succeed(job) is False
    ack, process = recorded.span("ack default"), recorded.span("process default")
    assert (ack.status.status_code, process.status.status_code) == (
        StatusCode.ERROR,
        StatusCode.UNSET,
    )
    assert (ack.attributes or {})["error.type"] == "lease_lost"
    assert (process.attributes or {})["messaging.fluxqueue.outcome_void"] is True


def test_a_consumer_that_raises_is_recorded_and_not_hidden(
    traced: TracedConsumer, consumer: FakeConsumer, job: Any, recorded: Recorded
) -> None:
    consumer.succeed(job)
    traced.begin(job)
    with pytest.raises(RuntimeError, match="settled already"):
        traced.succeed(job)
    assert (recorded.span("ack default").attributes or {})["error.type"] == "RuntimeError"
    (record,) = recorded.logs()
    assert record.log_record.event_name == "messaging.settle.exception"
    assert record.log_record.severity_text == "WARN"
    assert len(recorded.spans("process default")) == 1


@pytest.mark.parametrize(
    ("settle", "wanted"),
    [
        (lambda t, job: t.succeed(job), "succeed"),
        (lambda t, job: t.retry(job, 1.0), "retry"),
        (lambda t, job: t.bury(job, "failed", "text", None), "bury"),
        (lambda t, job: t.release(job), "release"),
    ],
)
@pytest.mark.parametrize("sampled", ["00", "01"])
def test_every_outcome_reaches_the_consumer(
    settle: Callable[[Any, Any], bool],
    wanted: str,
    sampled: str,
    consumer: FakeConsumer,
    job: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = Recorded(with_metrics=False, watch=False)
    recorded.install(monkeypatch)
    traced = make(consumer)
    job.headers = {"traceparent": f"{HEADER}-{sampled}"}
    job.deliveries = 1
    traced.begin(job)
    assert settle(traced, job)
    assert consumer.outcome(job)[0] == wanted
    assert len(recorded.spans()) == (2 if sampled == "01" else 0)
    for span in recorded.spans("process default"):
        assert (span.attributes or {})["messaging.fluxqueue.deliveries"] == 1


def test_a_header_that_is_none_begins_a_trace(
    traced: TracedConsumer, job: Any, recorded: Recorded
) -> None:
    job.headers = {"traceparent": "garbage"}
    traced.begin(job)
    traced.succeed(job)
    process = recorded.span("process default")
    assert process.parent is None and not process.links
