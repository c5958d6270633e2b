"""The middleware for Sentry, by its SDK with a transport that keeps what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from fluxqueue import Retry, Snooze
from fluxqueue.middleware import EnqueueCall, EnqueueOutcome
from fluxqueue.sentry import SentryMiddleware
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

Run = Callable[..., Any]


class Kept(Transport):
    """Keeps the events."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events += [item.payload.json for item in envelope.items if item.payload.json]

    @property
    def errors(self) -> list[Any]:
        return [event for event in self.events if event.get("type") != "transaction"]

    @property
    def transactions(self) -> list[Any]:
        return [event for event in self.events if event.get("type") == "transaction"]


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1", transport=kept, traces_sample_rate=1.0,
        default_integrations=False, auto_enabling_integrations=False,
    )  # fmt: skip
    yield kept
    sentry_sdk.get_global_scope().set_client(None)


def work(secret: str = "") -> None:
    sentry_sdk.set_tag("own", "1")
    sentry_sdk.add_breadcrumb(message="in the task")


async def work_async(secret: str = "") -> None:
    await asyncio.sleep(0)
    work()


def fail(secret: str = "") -> None:
    work()
    raise ValueError("bad")


async def fail_async(secret: str = "") -> None:
    await asyncio.sleep(0)
    fail()


BOTH = pytest.mark.parametrize("func", [work, work_async], ids=["sync", "async"])
BOTH_FAIL = pytest.mark.parametrize("func", [fail, fail_async], ids=["sync", "async"])


@BOTH
def test_each_attempt_is_a_transaction(func: Any, run: Run, kept: Kept) -> None:
    run(func, SentryMiddleware())
    assert kept.errors == []
    (transaction,) = kept.transactions
    trace = transaction["contexts"]["trace"]
    assert (transaction["transaction"], trace["op"], trace["status"]) == (
        func.__name__,
        "queue.process",
        "ok",
    )
    assert trace["origin"] == "auto.queue.fluxqueue"
    assert trace["data"]["messaging.destination.name"] == "default"
    tags = {"fluxqueue.task": func.__name__, "fluxqueue.queue": "default", "own": "1"}
    assert tags.items() <= transaction["tags"].items()


@BOTH_FAIL
def test_only_the_last_failure_is_an_error(func: Any, run: Run, kept: Kept) -> None:
    assert run(func, SentryMiddleware())[0] == "retry"
    assert kept.errors == []
    assert run(func, SentryMiddleware(), retries=3, args=("confidential",))[0] == "make_dead"
    (error,) = kept.errors
    (raised,) = error["exception"]["values"]
    assert (raised["type"], raised["value"]) == ("ValueError", "bad")
    assert error["contexts"]["fluxqueue"]["attempt"] == 4
    assert error["tags"]["own"] == "1"
    assert [each["message"] for each in error["breadcrumbs"]["values"]] == ["in the task"]
    assert "args" not in error["contexts"]["fluxqueue"]
    assert {each["contexts"]["trace"]["status"] for each in kept.transactions} == {"internal_error"}
    first, second = (each["contexts"]["trace"]["trace_id"] for each in kept.transactions)
    assert error["contexts"]["trace"]["trace_id"] == second != first


@pytest.mark.parametrize(
    ("error", "options", "count"),
    [
        (ValueError("bad"), {"retried": True}, 1),
        (Retry(delay=1), {"retried": True}, 1),
        (Retry(delay=1), {}, 0),
        (Snooze(delay=1), {"retried": True, "cancelled": True}, 0),
    ],
)
def test_the_options_say_which_failures_count(
    error: Exception, options: dict[str, bool], count: int, run: Run, kept: Kept
) -> None:
    def end(secret: str) -> None:
        raise error

    run(end, SentryMiddleware(traces=False, arguments=True, **options), args=("x",))
    assert kept.transactions == []
    assert len(kept.errors) == count
    for each in kept.errors:
        assert each["contexts"]["fluxqueue"]["args"] == ["x"]


def test_one_attempt_does_not_see_the_scope_of_another(run: Run, kept: Kept) -> None:
    async def tag(secret: str) -> None:
        sentry_sdk.set_tag(f"own-{secret}", "1")
        await asyncio.sleep(0.01)

    for secret in "ab":
        run(tag, SentryMiddleware(), args=(secret,))
    owns = [{t for t in each["tags"] if t.startswith("own")} for each in kept.transactions]
    assert owns == [{"own-a"}, {"own-b"}]


def test_a_trace_continues_from_the_call(run: Run, kept: Kept) -> None:
    middleware = SentryMiddleware()
    with sentry_sdk.start_transaction(name="request") as request:
        calls = [call(), call()]
        steps = [middleware.enqueue(each) for each in calls]
        # They overlap, as calls on an event loop do.
        for step in steps:
            next(step)
        for step in steps:
            with pytest.raises(StopIteration):
                step.send(EnqueueOutcome("id", is_new=True))
        assert sentry_sdk.get_current_span() is request
    run(work, middleware, headers=calls[0].headers)
    sent, ran = kept.transactions
    assert [span["op"] for span in sent["spans"]] == ["queue.publish"] * 2
    trace = ran["contexts"]["trace"]
    assert trace["trace_id"] == sent["contexts"]["trace"]["trace_id"]
    assert trace["parent_span_id"] == sent["spans"][0]["span_id"]


def call() -> EnqueueCall:
    return EnqueueCall("work", "default", (), {}, "id", {}, {})


def test_a_call_outside_of_a_transaction_carries_the_trace_of_its_scope(kept: Kept) -> None:
    one = call()
    one.headers["baggage"] = "own=1"
    next(SentryMiddleware().enqueue(one))
    assert one.headers["sentry-trace"] == sentry_sdk.get_traceparent()
    assert one.headers["baggage"] == "own=1"


def test_without_a_client_it_does_nothing(run: Run) -> None:
    assert not sentry_sdk.is_initialized()
    assert run(work, SentryMiddleware()) == ("succeed", ())
    one = call()
    next(SentryMiddleware().enqueue(one))
    assert one.headers == {}
