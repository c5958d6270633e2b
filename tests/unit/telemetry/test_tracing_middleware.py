"""The spans and metrics that the tracing middleware records, with a fake consumer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fluxqueue import FluxQueue, Reject
from fluxqueue_core import Settings
from fluxqueue_core.service.log import LEVELS, Logger
from fluxqueue_worker import options
from fluxqueue_worker.events import TaskEvents
from fluxqueue_worker.middleware import wrapped_run
from fluxqueue_worker.outcomes import Outcomes
from fluxqueue_worker.registered_task import RegisteredTask
from fluxqueue_worker.tracing import Tracing
from opentelemetry.trace import StatusCode, get_current_span
from support.fake_consumer import FakeAttempt, FakeConsumer
from support.telemetry import Recorded

HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"


class Traced:
    """Runs and settles attempts as the loops do."""

    def __init__(self, consumer: FakeConsumer) -> None:
        url = "redis://127.0.0.1:1"
        tracing = Tracing.of_process(options.parse(["-t", "a", "-r", url], "w"), Settings(url))
        assert tracing is not None
        self.tracing = tracing
        events = TaskEvents(Logger(LEVELS["error"], lambda fields: b"", lambda line: None))
        self.outcomes = Outcomes(consumer, events, [tracing])

    def run(self, attempt: Any) -> Any:
        run = wrapped_run(attempt.task, [self.tracing])
        assert run is not None
        return run(attempt, {})


@pytest.fixture
def consumer() -> Iterator[FakeConsumer]:
    consumer = FakeConsumer()
    yield consumer
    consumer.close()


@pytest.fixture
def traced(consumer: FakeConsumer, recorded: Recorded) -> Traced:
    return Traced(consumer)


def make_job(**options: Any) -> Any:
    def order() -> Any:
        return get_current_span().get_span_context()

    return FakeAttempt(RegisteredTask(FluxQueue("redis://127.0.0.1:1").task(**options)(order)))


@pytest.fixture
def attempt() -> Any:
    return make_job()


def test_a_task_runs_and_is_settled_in_the_context_of_its_span(
    traced: Traced, recorded: Recorded
) -> None:
    first, second = make_job(), make_job()
    seen = []
    for attempt in (first, second):
        seen.append(traced.run(attempt))
        assert get_current_span().get_span_context() == seen[-1]
        assert traced.outcomes.succeed(attempt)
        # The line that the loop writes now belongs to this task.
        assert get_current_span().get_span_context() == seen[-1]
    assert seen == [span.context for span in recorded.spans("process default")]
    assert seen[0] != seen[1]


def test_a_void_outcome_is_an_error_of_settling(
    traced: Traced, consumer: FakeConsumer, attempt: Any, recorded: Recorded
) -> None:
    consumer.lost.add(attempt)
    traced.run(attempt)
    assert traced.outcomes.succeed(attempt) is False
    ack, process = recorded.span("ack default"), recorded.span("process default")
    assert (ack.status.status_code, process.status.status_code) == (
        StatusCode.ERROR,
        StatusCode.UNSET,
    )
    assert (ack.attributes or {})["error.type"] == "lease_lost"
    assert (process.attributes or {})["messaging.fluxqueue.outcome_void"] is True


def test_a_consumer_that_raises_is_recorded_and_not_hidden(
    traced: Traced, consumer: FakeConsumer, attempt: Any, recorded: Recorded
) -> None:
    consumer.succeed(attempt)
    traced.run(attempt)
    with pytest.raises(RuntimeError, match="settled already"):
        traced.outcomes.succeed(attempt)
    assert (recorded.span("ack default").attributes or {})["error.type"] == "RuntimeError"
    (record,) = recorded.logs()
    assert record.log_record.event_name == "messaging.settle.exception"
    assert record.log_record.severity_text == "WARN"
    assert len(recorded.spans("process default")) == 1


def make_dead(outcomes: Outcomes, attempt: Any) -> None:
    attempt.retries = attempt.max_retries
    outcomes.failed(attempt, ValueError("bad"), 0.0)


@pytest.mark.parametrize(
    ("settle", "wanted", "operation"),
    [
        (lambda outcomes, attempt: outcomes.succeed(attempt), "succeed", "ack"),
        (
            lambda outcomes, attempt: outcomes.failed(attempt, ValueError("bad"), 0.0),
            "retry",
            "retry",
        ),
        (make_dead, "make_dead", "dead"),
        (lambda outcomes, attempt: outcomes.release(attempt, 0.0), "release", "release"),
    ],
)
@pytest.mark.parametrize("sampled", ["00", "01"])
def test_every_outcome_reaches_the_consumer(
    settle: Callable[[Outcomes, Any], object],
    wanted: str,
    operation: str,
    sampled: str,
    consumer: FakeConsumer,
    attempt: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = Recorded(with_metrics=False, watch=False)
    recorded.install(monkeypatch)
    traced = Traced(consumer)
    attempt.headers = {"traceparent": f"{HEADER}-{sampled}"}
    attempt.deliveries = 1
    traced.run(attempt)
    settle(traced.outcomes, attempt)
    assert consumer.outcome(attempt)[0] == wanted
    names = [f"{operation} default", "process default"] if sampled == "01" else []
    assert [span.name for span in recorded.spans()] == names
    for span in recorded.spans("process default"):
        assert (span.attributes or {})["messaging.fluxqueue.deliveries"] == 1


@pytest.mark.parametrize(
    ("options", "error", "reason", "kind"),
    [
        ({}, Reject("no such customer"), "rejected", "fluxqueue.Reject"),
        ({"no_retry_on": ValueError}, ValueError("bad"), "no_retry_on", "ValueError"),
        ({"retry_on": OSError}, ValueError("bad"), "not_in_retry_on", "ValueError"),
        ({"retry": lambda attempt, error: None}, KeyError("bad"), "retry_refused", "KeyError"),
    ],
)
def test_a_failure_that_is_not_retried_has_its_error_type_and_its_rule(
    options: dict[str, Any],
    error: Exception,
    reason: str,
    kind: str,
    traced: Traced,
    recorded: Recorded,
) -> None:
    attempt = make_job(**options)
    traced.run(attempt)
    traced.outcomes.failed(attempt, error, 0.0)
    dead, process = recorded.span("dead default"), recorded.span("process default")
    assert (dead.attributes or {})["messaging.fluxqueue.reason"] == reason
    assert (process.attributes or {})["error.type"] == kind
    (record,) = recorded.logs()
    assert (record.log_record.attributes or {})["exception.type"] == kind


def test_a_job_that_the_consumer_has_released_is_recorded_and_not_settled_again(
    traced: Traced, consumer: FakeConsumer, attempt: Any, recorded: Recorded
) -> None:
    traced.run(attempt)
    traced.outcomes.released(attempt, 0.0)
    assert consumer.outcomes == []
    assert [span.name for span in recorded.spans()] == ["release default", "process default"]


def test_a_header_that_is_not_valid_begins_a_trace(
    traced: Traced, attempt: Any, recorded: Recorded
) -> None:
    attempt.headers = {"traceparent": "garbage"}
    traced.run(attempt)
    traced.outcomes.succeed(attempt)
    process = recorded.span("process default")
    assert process.parent is None and not process.links
