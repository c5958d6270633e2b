"""Calls with options, as they are in Redis: one by one, on a loop, and in bulk."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fluxqueue import BrokerError, ConfigurationError, FluxQueue, FluxQueueWarning, TaskHandle
from fluxqueue.errors import ArgumentTypeError
from fluxqueue_core import key, parse_message
from support.telemetry import Recorded

pytestmark = pytest.mark.versions
HOUR = 3_600
Send = Callable[..., TaskHandle[None]]


@pytest.fixture
def app(redis_url: str) -> Iterator[FluxQueue]:
    app = FluxQueue(redis_url)
    yield app
    app.close()


def tasks_of(app: FluxQueue) -> list[Any]:
    @app.task()
    def work(number: int, when: datetime | None = None) -> None: ...

    @app.task()
    async def async_work(number: int, when: datetime | None = None) -> None: ...

    return [work, async_work]


def by_enqueue(view: Any, *args: Any, **kwargs: Any) -> Any:
    return view.enqueue(*args, **kwargs)


def by_enqueue_async(view: Any, *args: Any, **kwargs: Any) -> Any:
    async def main() -> Any:
        return await view.enqueue_async(*args, **kwargs)

    return asyncio.run(main())


def by_enqueue_async_outside_of_a_loop(view: Any, *args: Any, **kwargs: Any) -> Any:
    return asyncio.run(view.enqueue_async(*args, **kwargs))


each_way = pytest.mark.parametrize(
    "send", [by_enqueue, by_enqueue_async, by_enqueue_async_outside_of_a_loop]
)
each_kind = pytest.mark.parametrize("kind", [0, 1], ids=["def", "async def"])


def pending(redis: Any, queue: str = "default") -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in redis.lrange(key("pending", queue), 0, -1)[::-1]]


def delayed(redis: Any, queue: str = "default") -> list[tuple[dict[str, Any], float]]:
    found = redis.zrange(key("delayed", queue), 0, -1, withscores=True)
    return [(json.loads(raw), due) for raw, due in found]


def now(redis: Any) -> float:
    seconds, micros = redis.time()
    return float(seconds * 1_000 + micros / 1_000)


@each_way
@each_kind
def test_a_delay_counts_from_the_call(app: FluxQueue, redis: Any, send: Send, kind: int) -> None:
    before = now(redis)
    handle = send(tasks_of(app)[kind].options(delay=60), 1)
    [(message, due)] = delayed(redis)
    assert before + 60_000 - 1 <= due <= now(redis) + 60_000
    assert (message["id"], message["args"]) == (handle.id, [1])
    assert pending(redis) == []


@each_way
def test_an_eta_is_kept_and_a_past_one_is_now(app: FluxQueue, redis: Any, send: Send) -> None:
    eta = datetime.now(UTC).replace(microsecond=5_000) + timedelta(hours=1)
    task = tasks_of(app)[0]
    send(task.options(eta=eta), 1)
    assert [due for _, due in delayed(redis)] == [round(eta.timestamp() * 1_000)]
    send(task.options(eta=datetime.now(UTC) - timedelta(hours=1)), 2)
    assert [message["args"] for message in pending(redis)] == [[2]]


@each_way
@each_kind
def test_other_options_are_in_the_message(
    app: FluxQueue, redis: Any, send: Send, kind: int
) -> None:
    options = {"max_retries": 9, "timeout": 1.5, "headers": {"tenant": "ü"}, "queue": "mails"}
    handle = send(tasks_of(app)[kind].options(task_id="order-17", **options), 1)
    assert handle == app.handle("order-17", queue="mails")
    [message] = pending(redis, "mails")
    assert message.pop("enqueued_at") == pytest.approx(now(redis), abs=60_000)
    name = tasks_of(app)[kind].task_name
    assert message == {
        "v": 1,
        "id": handle.id,
        "name": name,
        "args": [1],
        "max_retries": 9,
        "timeout": 1.5,
        "timeout_wins": True,
        "headers": {"tenant": "ü"},
    }


def test_an_expiry_is_a_moment_by_the_clock_of_redis(app: FluxQueue, redis: Any) -> None:
    task = tasks_of(app)[0]
    before = now(redis)
    task.options(expires=60, headers={"a": "b"}).enqueue(1)
    task.options(expires=datetime(2030, 1, 1, tzinfo=UTC)).enqueue(2)
    task.options(expires=timedelta(hours=2), delay=HOUR).enqueue(3)
    first, second = pending(redis)
    assert before + 60_000 - 1 <= first["opts"]["x"] <= now(redis) + 60_000
    assert second["opts"]["x"] == 1_893_456_000_000
    [(third, due)] = delayed(redis)
    assert third["opts"]["x"] - due == HOUR * 1_000


def test_the_time_of_a_call_is_known_whatever_its_id(app: FluxQueue, redis: Any) -> None:
    task = tasks_of(app)[0]
    for task_id in ("order-17", "019aa0c2-7b1f-7c3e-8d2a-0123456789ab"):
        task.options(task_id=task_id).enqueue(1)
    task.enqueue(1)
    chosen, of_version_7, plain = (
        parse_message(raw) for raw in redis.lrange(key("pending", "default"), 0, -1)[::-1]
    )
    assert chosen["enqueued_at"] == pytest.approx(now(redis), abs=60_000)
    assert of_version_7["enqueued_at"] == 0x019AA0C27B1F
    assert plain["enqueued_at"] == pytest.approx(now(redis), abs=60_000)
    assert all("enqueued_at" not in message for message in pending(redis)[1:])


def test_a_view_is_called_as_its_task(app: FluxQueue, redis: Any) -> None:
    work, async_work = tasks_of(app)
    assert work.options(delay=HOUR)(1) is None

    async def main() -> None:
        assert await async_work.options(delay=HOUR)(2) is None
        assert await async_work.options(queue="a", headers={"a": "b"})(3) is None

    asyncio.run(main())
    asyncio.run(async_work.options(delay=HOUR)(4))
    assert [message["args"] for message, _ in delayed(redis)] == [[1], [2], [4]]
    assert [message["args"] for message in pending(redis, "a")] == [[3]]


def test_a_view_is_one_command_and_one_round_trip(app: FluxQueue, redis: Any) -> None:
    work = tasks_of(app)[0]
    view = work.options(delay=HOUR)
    view.enqueue(0)  # the server knows the script from now on
    redis.config_resetstat()
    for number in range(5):
        view.enqueue(number)
        work.options(headers={"a": "b"}, task_id="x").enqueue(number)
    calls = {name: stat["calls"] for name, stat in redis.info("commandstats").items()}
    assert calls["cmdstat_evalsha"] == calls["cmdstat_lpush"] == 5
    assert "cmdstat_eval" not in calls


def test_typed_arguments_are_converted_in_a_view(app: FluxQueue, redis: Any) -> None:
    work = tasks_of(app)[0]
    when = datetime(2026, 1, 1, tzinfo=UTC)
    work.options(queue="a").enqueue(1, when=when)
    assert work.enqueue_many([work.options(headers={"a": "b"}).call(2, when=when)]) == 1
    assert [m["kwargs"] for m in (*pending(redis, "a"), *pending(redis))] == [
        {"when": "2026-01-01T00:00:00Z"}
    ] * 2
    with pytest.raises(ArgumentTypeError, match="when"):
        work.options(queue="a").enqueue(1, when="tomorrow")
    with pytest.raises(ArgumentTypeError, match="when"):
        work.options(delay=1).call(1, when="tomorrow")


@each_kind
def test_a_blocking_call_of_a_view_warns_on_a_loop(app: FluxQueue, redis: Any, kind: int) -> None:
    view = tasks_of(app)[kind].options(queue="a")

    async def main() -> None:
        view.enqueue(1)

    with pytest.warns(FluxQueueWarning, match=r"write `await \w+.options\(...\).enqueue_async\("):
        asyncio.run(main())

    async def awaits() -> None:
        await view.enqueue(2)

    with pytest.raises(TypeError, match="nothing was enqueued"):
        asyncio.run(awaits())
    assert len(pending(redis, "a")) == 1


def test_an_error_of_a_view_names_its_queue(app: FluxQueue, redis: Any) -> None:
    redis.set(key("pending", "a"), "another program's")
    work = tasks_of(app)[0]
    with pytest.raises(BrokerError, match="queue 'a'"):
        work.options(queue="a").enqueue(1)
    with pytest.raises(ArgumentTypeError, match=r"task 'work' \(queue 'b'\)"):
        work.options(queue="b").enqueue(object())


def many(task: Any, calls: Any, **options: Any) -> Any:
    return task.enqueue_many(calls, **options)


def many_async(task: Any, calls: Any, **options: Any) -> Any:
    async def main() -> Any:
        return await task.enqueue_many_async(calls, **options)

    return asyncio.run(main())


each_bulk = pytest.mark.parametrize("send", [many, many_async])


@each_bulk
def test_each_call_of_a_bulk_has_its_options(app: FluxQueue, redis: Any, send: Any) -> None:
    work = tasks_of(app)[0]
    calls = [
        (0,),
        {"number": 1},
        work.call(2),
        work.options(task_id="order-3", headers={"a": "b"}, max_retries=0).call(3),
        work.options(delay=HOUR).call(4),
        (5,),
        work.options(eta=datetime.now(UTC) - timedelta(hours=1)).call(6),
    ]
    assert send(work, calls) == 7
    waiting = pending(redis)
    assert [m["args"] or [m["kwargs"]["number"]] for m in waiting] == [[0], [1], [2], [3], [5], [6]]
    assert waiting[3]["id"] == app.handle("order-3").id
    assert (waiting[3]["headers"], waiting[3]["max_retries"]) == ({"a": "b"}, 0)
    assert [m["args"] for m, _ in delayed(redis)] == [[4]]


@each_bulk
def test_calls_with_and_without_priorities_share_a_bulk(
    app: FluxQueue, redis: Any, send: Any
) -> None:
    """The command becomes the one with the key of priorities, and no call is lost or moved."""
    work = tasks_of(app)[0]
    calls = [
        (0,),
        work.options(delay=HOUR).call(1),
        work.options(priority=5).call(2),
        (3,),
        work.options(priority=9).call(4),
        work.options(priority=0).call(5),
    ]
    assert send(work, calls) == 6
    waiting = pending(redis)
    assert [m["args"] for m in waiting] == [[4], [0], [3], [5]]  # the best is at the head
    assert [m.get("opts") for m in waiting] == [{"p": 9}, None, None, None]
    [(ranked, _)] = redis.zrange(key("prioritized", "default"), 0, -1, withscores=True)
    assert json.loads(ranked)["args"] == [2]
    assert [m["args"] for m, _ in delayed(redis)] == [[1]]


@each_bulk
def test_options_of_a_call_win_over_those_of_its_bulk(
    app: FluxQueue, redis: Any, send: Any
) -> None:
    work = tasks_of(app)[0]
    view = work.options(queue="a", delay=HOUR, headers={"a": "b"})
    before = now(redis)
    assert send(view, [(0,), work.options(headers={}).call(1), work.options(delay=60).call(2)]) == 3
    found = {m["args"][0]: (m, due - before) for m, due in delayed(redis, "a")}
    assert found[0][0]["headers"] == found[2][0]["headers"] == {"a": "b"}
    assert "headers" not in found[1][0]
    assert [round(found[n][1] / 60_000) for n in range(3)] == [60, 60, 1]


@each_bulk
def test_many_calls_with_options_go_in_chunks(app: FluxQueue, redis: Any, send: Any) -> None:
    """A delayed call turns the rest of its chunk into calls of the script, and no order is lost."""
    work = tasks_of(app)[0]
    later = work.options(delay=HOUR)
    calls = [later.call(n) if n == 1_500 else (n,) for n in range(3_500)]
    assert send(work, iter(calls)) == 3_500
    assert [m["args"][0] for m in pending(redis)] == [n for n in range(3_500) if n != 1_500]
    assert len(delayed(redis)) == 1


@each_bulk
def test_a_bulk_is_spread_over_a_time(app: FluxQueue, redis: Any, send: Any) -> None:
    work = tasks_of(app)[0]
    before = now(redis)
    calls = [(n,) if n % 2 else work.options(headers={"a": "b"}).call(n) for n in range(2_000)]
    assert send(work, iter(calls), spread=timedelta(hours=1)) == 2_000
    after = now(redis)
    assert pending(redis)[0]["args"] == [0]
    found = [(0, before), *((m["args"][0], due) for m, due in delayed(redis))]
    assert [number for number, _ in found] == list(range(2_000))
    step = HOUR * 1_000 / 2_000
    for number, due in found:
        assert before + number * step - 1 <= due <= after + number * step


@each_bulk
def test_a_delayed_bulk_is_spread_from_its_delay_on(app: FluxQueue, redis: Any, send: Any) -> None:
    work = tasks_of(app)[0]
    eta = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    assert send(work.options(eta=eta), [(n,) for n in range(4)], spread=60) == 4
    first = eta.timestamp() * 1_000
    assert [due - first for _, due in delayed(redis)] == [0, 15_000, 30_000, 45_000]
    assert send(work, [], spread=60) == 0


@each_bulk
def test_a_call_that_does_not_belong_to_the_bulk_is_named(
    app: FluxQueue, redis: Any, send: Any
) -> None:
    work, other = tasks_of(app)
    for call, error, said in [
        (other.call(1), ArgumentTypeError, r"call 1 \(.*it is a call of <AsyncTask 'async_work'"),
        (work.options(queue="a").call(1), ConfigurationError, r"call 1 \(.*for queue 'a'"),
        (5, ArgumentTypeError, r"call 1 \(.*it is a int; .*or a TaskCall"),
        (work.call(object()), ArgumentTypeError, r"call 1 \(.*argument number is an object"),
    ]:
        with pytest.raises(error, match=said):
            send(work, [(0,), call, (2,)])
    for spread in (-1, "5", 10**9):
        with pytest.raises((TypeError, ConfigurationError), match="spread"):
            send(work, [(0,)], spread=spread)


def test_threads_share_a_view(app: FluxQueue, redis: Any) -> None:
    view = tasks_of(app)[0].options(delay=HOUR)
    threads = [
        threading.Thread(target=lambda: [view.enqueue(n) for n in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(delayed(redis)) == 200


def test_a_refused_delay_enqueues_nothing(app: FluxQueue, redis: Any) -> None:
    redis.set(key("delayed", "default"), "another program's")
    with pytest.raises(BrokerError, match=r"WRONGTYPE.*not enqueued"):
        tasks_of(app)[0].options(delay=1).enqueue(1)
    assert pending(redis) == []


@each_way
def test_headers_of_the_caller_travel_with_those_of_telemetry(
    app: FluxQueue, redis: Any, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded()
    recorded.install(monkeypatch)
    work = tasks_of(app)[0]
    view = work.options(headers={"tenant": "a"}, task_id="order-17")
    handle = send(view, 1)
    [message] = pending(redis)
    assert message["headers"]["tenant"] == "a"
    assert message["headers"]["traceparent"].startswith("00-")
    span = recorded.span("enqueue default")
    assert (span.attributes or {})["messaging.message.id"] == handle.id
    assert work.enqueue_many([(2,), view.call(3)]) == 2
    plain, with_options = pending(redis)[1:]
    assert set(plain["headers"]) == {"traceparent"}
    assert set(with_options["headers"]) == {"traceparent", "tenant"}
    assert with_options["id"] == handle.id
