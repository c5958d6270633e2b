"""`fluxqueue.testing.captured`: calls wait until the test runs them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import ANY

import pytest
from fluxqueue import FluxQueue, ResultTimeout
from fluxqueue.testing import captured

NOWHERE = "redis://127.0.0.1:1"


class App:
    def __init__(self) -> None:
        self.queue = queue = FluxQueue(NOWHERE)
        self.ran: list[Any] = []

        @queue.task(result_ttl=60)
        def send(to: str, subject: str = "Hi", *, price: Decimal = Decimal(1)) -> str:
            self.ran.append(to)
            return to

        @queue.task(queue="payments")
        async def charge(cents: int) -> None:
            self.ran.append(cents)

        self.send, self.charge = send, charge


@pytest.fixture
def app() -> App:
    return App()


def test_nothing_runs_before_a_drain(app: App) -> None:
    with captured(app.queue) as tasks:
        handle = app.send.enqueue("a")
        app.charge.enqueue(5)
        assert app.ran == [] and handle.status() == "unfinished"
        with pytest.raises(ResultTimeout, match=r"run them with drain\(\)"):
            handle.result()
        assert tasks.drain() == 2
        assert app.ran == ["a", 5] and handle.result() == "a"
        assert tasks.drain() == 0


def test_an_async_wait_for_a_captured_call_ends_at_once(app: App) -> None:
    async def test() -> None:
        handle = await app.send.enqueue_async("a")
        with pytest.raises(ResultTimeout, match=r"run them with drain\(\)"):
            await handle.result_async()
        assert await tasks.drain_async() == 1
        assert await handle.result_async() == "a"

    with captured(app.queue) as tasks:
        asyncio.run(test())


def test_a_drain_runs_tasks_in_the_order_of_their_times(app: App) -> None:
    with captured(app.queue) as tasks:
        app.send.options(delay=20)("third")
        app.send.options(delay=10)("second")
        app.send("first")
        assert tasks.drain(limit=1) == 1 and tasks.now == 0
        assert tasks.drain() == 2 and tasks.now == 20
    assert app.ran == ["first", "second", "third"]


def test_a_drain_raises_the_first_error_when_all_have_run(app: App) -> None:
    @app.queue.task(max_retries=0)
    def fail(text: str) -> None:
        raise ValueError(text)

    with captured(app.queue) as tasks:
        fail("one")
        fail("two")
        app.send("a")
        with pytest.raises(ValueError, match="one"):
            tasks.drain()
        assert app.ran == ["a"] and len(tasks.errors) == 2
        assert tasks.drain() == 0


def test_a_call_is_found_however_it_passes_its_arguments(app: App) -> None:
    with captured(app.queue) as tasks:
        app.send("a", price=Decimal("1.50"))
        app.charge.enqueue(cents=5)
        expected: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
            (("a",), {"price": Decimal("1.50")}),
            (("a", "Hi"), {"price": Decimal("1.50")}),
            ((), {"to": "a", "price": Decimal("1.5")}),
            ((ANY,), {"price": ANY}),
        ]
        for args, kwargs in expected:
            [call] = tasks.assert_enqueued(app.send, args=args, kwargs=kwargs, times=1)
            assert call.args == ("a",) and call.kwargs == {"price": Decimal("1.50")}
        tasks.assert_enqueued("charge", kwargs={"cents": 5}, queue="payments")
        tasks.assert_enqueued(app.charge.options(priority=3), args=(5,))
        tasks.refute_enqueued(app.charge, args=(6,))
        tasks.refute_enqueued("refund")


def test_arguments_are_compared_as_they_are_sent(app: App) -> None:
    @app.queue.task()
    def plain(when, parts, **more):  # type: ignore[no-untyped-def]
        """Its arguments stay JSON."""

    when = datetime(2026, 1, 2, tzinfo=UTC)
    with captured(app.queue) as tasks:
        plain(when, {"a": (1, (2,))}, who=app.ran)
        tasks.assert_enqueued(plain, args=(when, {"a": (1, (2,))}), kwargs={"who": []})
        tasks.assert_enqueued(
            "plain",
            args=("2026-01-02T00:00:00+00:00", {"a": [1, [2]]}),
            kwargs={"who": ANY},
        )
        tasks.refute_enqueued(plain, args=(when, {"a": (1, (3,))}), kwargs={"who": []})
        tasks.refute_enqueued(plain, args=(when, {"a": (1, (2,))}), kwargs={"whom": []})
        tasks.refute_enqueued(plain, args=(when, object()), kwargs={"who": []})


def test_a_call_is_found_by_its_delay(app: App) -> None:
    with captured(app.queue) as tasks:
        app.send.options(delay=timedelta(minutes=1))("a")
        app.send.options(eta=datetime.now(UTC) + timedelta(hours=1))("b")
        tasks.assert_enqueued(app.send, args=("a",), delay=60)
        tasks.assert_enqueued(app.send, delay=timedelta(minutes=1), times=1)
        tasks.assert_enqueued(app.send, args=("b",), delay=3600)
        tasks.assert_enqueued(app.send, delay=pytest.approx(60.0001, abs=1))
        tasks.refute_enqueued(app.send, delay=0)


def test_a_failed_assertion_shows_what_was_enqueued_and_what_differs(app: App) -> None:
    with captured(app.queue) as tasks:
        with pytest.raises(AssertionError, match=r"^send\(\.\.\.\) was not enqueued\nnothing was"):
            tasks.assert_enqueued(app.send)
        app.send.options(delay=5)("a", "Bye")
        app.charge.enqueue(5)
        with pytest.raises(AssertionError) as raised:
            tasks.assert_enqueued(app.send, args=("b", "Bye"), delay=60)
        assert str(raised.value).splitlines() == [
            "send('b', 'Bye'), delay 60 s was not enqueued",
            "enqueued (2):",
            "  send('a', 'Bye'), delay 5 s: to is 'a', not 'b'; delay is 5 s, not 60 s",
            "  charge(5) of queue 'payments': another task than 'send'",
        ]
        with pytest.raises(AssertionError, match="was enqueued 1 time, not 2"):
            tasks.assert_enqueued(app.send, times=2)
        with pytest.raises(AssertionError, match=r"send\(\.\.\.\) was enqueued 1 time\nenqueued"):
            tasks.refute_enqueued(app.send)


def test_an_assertion_about_an_impossible_call_is_a_mistake(app: App) -> None:
    with captured(app.queue) as tasks, pytest.raises(TypeError, match="required argument: 'to'"):
        tasks.refute_enqueued(app.send, kwargs={"receiver": "a"})


def test_calls_of_a_debounced_task_are_one(app: App) -> None:
    @app.queue.task(debounce=10, max_wait=25)
    def index(shop: int) -> None:
        app.ran.append((shop, tasks.now))

    with captured(app.queue) as tasks:
        for _ in range(4):
            index(1)
            tasks.travel(8)
        index(2)
        tasks.drain()
        assert app.ran == [(1, 32), (2, 42)]
        states = [call.state for call in tasks.calls if call.args == (1,)]
        assert states == ["cancelled", "cancelled", "cancelled", "succeeded"]


def test_a_replaced_call_does_not_run(app: App) -> None:
    @app.queue.task(unique=("shop",), on_conflict="replace")
    def index(shop: int, version: int) -> None:
        app.ran.append(version)

    with captured(app.queue) as tasks:
        index.options(delay=60)(1, 1)
        index.options(delay=60)(1, 2)
        assert tasks.drain() == 1
        assert app.ran == [2]
        # A task that is due is not replaced.
        assert index.enqueue(1, 3).created
        assert not index.enqueue(1, 4).created
        tasks.drain()
    assert app.ran == [2, 3]


def test_clear_forgets_what_waits(app: App) -> None:
    with captured(app.queue) as tasks:
        app.send("a")
        tasks.clear()
        assert tasks.calls == [] and tasks.drain() == 0
        app.send("b")
        assert [repr(call) for call in tasks.calls] == ["send('b')"]


def test_a_cancelled_call_does_not_run(app: App) -> None:
    with captured(app.queue) as tasks:
        handle = app.send.enqueue("a")
        assert handle.cancel() == "cancelled"
        assert handle.cancel() == "already_done"
        assert tasks.drain() == 0 and handle.status() == "cancelled"


def test_calls_of_one_bulk_are_spread(app: App) -> None:
    with captured(app.queue) as tasks:
        assert app.send.enqueue_many([("a",), ("b",), ("c",), ("d",)], spread=60) == 4
        assert [call.delay for call in tasks.calls] == [0, 15, 30, 45]
        assert asyncio.run(app.send.enqueue_many_async([("e",), ("f",)], spread=10)) == 2
        assert [call.delay for call in tasks.calls[4:]] == [0, 5]


def test_a_bulk_says_how_many_calls_were_enqueued_before_a_bad_one(app: App) -> None:
    with captured(app.queue) as tasks, pytest.raises(TypeError) as raised:
        app.send.enqueue_many([*[("a",)] * 1_500, (b"\xff", 2, 3, 4)])
    assert raised.value.enqueued == 1_000  # type: ignore[attr-defined]
    assert len(tasks.calls) == 1_000 and "call 1500" in str(raised.value)
