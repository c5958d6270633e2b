"""The names of spans: after their queue, or after their task."""

from __future__ import annotations

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core.errors import ConfigurationError
from support.telemetry import Recorded
from support.traced_worker import TracedWorker

VARIABLE = "FLUXQUEUE_OTEL_TASK_SPAN_NAMES"


def names_of_a_task(recorded: Recorded, redis_url: str) -> set[str]:
    client = FluxQueue(redis_url)

    @client.task(queue="mails", max_retries=1, retry_delay=0)
    def send() -> None:
        raise ValueError

    with TracedWorker(client, redis_url) as worker:
        send.enqueue_many([()])
        worker.wait_for_lines("task.retry")
    client.close()
    return {span.name for span in recorded.spans()}


def test_spans_are_named_after_their_queue(recorded: Recorded, redis_url: str) -> None:
    expected = {"enqueue mails", "create mails", "process mails", "retry mails"}
    assert names_of_a_task(recorded, redis_url) == expected


def test_spans_are_named_after_their_task_if_asked_for(
    recorded: Recorded, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "yes")
    expected = {"enqueue send", "create send", "process send", "retry send"}
    assert names_of_a_task(recorded, redis_url) == expected


def test_another_value_is_an_error(
    recorded: Recorded, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "queue")
    with pytest.raises(ConfigurationError, match=f"variable {VARIABLE}: 'queue' is neither yes"):
        names_of_a_task(recorded, redis_url)
