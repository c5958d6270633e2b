"""Unique tasks, as a client calls them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from fluxqueue import (
    ConfigurationError,
    DuplicateTask,
    FluxQueue,
    TaskHandle,
)
from fluxqueue_core import key, parse_message

pytestmark = pytest.mark.versions


@dataclass
class Order:
    """An argument that is more than JSON."""

    id: int
    note: str = ""


@pytest.fixture
def app(redis_url: str) -> Iterator[FluxQueue]:
    app = FluxQueue(redis_url)
    yield app
    app.close()


def pending(redis: Any) -> list[dict[str, Any]]:
    """The parts of the messages that wait, in the order in which workers take them."""
    return [parse_message(raw) for raw in redis.lrange(key("pending", "default"), 0, -1)[::-1]]


def arguments(redis: Any) -> list[bytes]:
    return [parts["args"] for parts in pending(redis)]


def both_kinds(app: FluxQueue, **options: Any) -> list[Any]:
    @app.task(name="work", **options)
    def work(a: int, b: int = 2, *more: int, c: str = "c", **others: int) -> None: ...

    @app.task(name="work", queue="other", **options)
    async def async_work(a: int, b: int = 2, *more: int, c: str = "c", **others: int) -> None: ...

    return [work, async_work.options(queue="default")]


Send = Callable[..., TaskHandle[None]]


def by_enqueue(task: Any, *args: Any, **kwargs: Any) -> TaskHandle[None]:
    handle: TaskHandle[None] = task.enqueue(*args, **kwargs)
    return handle


def by_enqueue_async(task: Any, *args: Any, **kwargs: Any) -> TaskHandle[None]:
    async def main() -> TaskHandle[None]:
        handle: TaskHandle[None] = await task.enqueue_async(*args, **kwargs)
        return handle

    return asyncio.run(main())


def without_a_loop(task: Any, *args: Any, **kwargs: Any) -> TaskHandle[None]:
    handle: TaskHandle[None] = asyncio.run(task.enqueue_async(*args, **kwargs))
    return handle


each_way = pytest.mark.parametrize("send", [by_enqueue, by_enqueue_async, without_a_loop])
each_kind = pytest.mark.parametrize("kind", [0, 1], ids=["def", "async def"])


@each_way
@each_kind
def test_the_second_call_returns_the_handle_of_the_first(
    app: FluxQueue, redis: Any, send: Send, kind: int
) -> None:
    work = both_kinds(app, unique=True)[kind]
    first, second, other = send(work, 1), send(work, 1), send(work, 3)
    assert (first.created, second.created, other.created) == (True, False, True)
    assert second == first != other
    assert [parts["task_id"] for parts in pending(redis)] == [first.id, other.id]


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, 2), {}),
        ((1,), {"b": 2}),
        ((), {"c": "c", "b": 2, "a": 1}),
    ],
)
def test_calls_are_the_same_however_they_pass_their_arguments(
    app: FluxQueue, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    work, _ = both_kinds(app, unique=True)
    first = work.enqueue(1)
    assert work.enqueue(*args, **kwargs) == first


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((2,), {}), ((1.0,), {}), ((True,), {}), (("1",), {}), ((1, 2, 3), {}), ((1,), {"d": 4})],
)
def test_calls_with_other_arguments_are_others(
    app: FluxQueue, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    work, _ = both_kinds(app, unique=True)
    work.enqueue(1)
    assert work.enqueue(*args, **kwargs).created


def test_tasks_and_queues_have_their_own_locks(app: FluxQueue) -> None:
    @app.task(unique=True)
    def one(number: int) -> None: ...

    @app.task(unique=True)
    def two(number: int) -> None: ...

    assert one.enqueue(1).created and two.enqueue(1).created
    assert one.options(queue="other").enqueue(1).created
    assert not one.enqueue(1).created


def test_some_arguments_can_decide(app: FluxQueue) -> None:
    @app.task(unique=("order", "kind"))
    def ship(order: int, to: str, **more: str) -> None: ...

    first = ship.enqueue(1, "Ada", kind="x")
    assert ship.enqueue(1, to="Bob", kind="x", other="y") == first
    assert ship.enqueue(1, "Ada", kind="z").created and ship.enqueue(1, "Ada").created


def test_a_function_can_decide_by_the_arguments_of_the_caller(app: FluxQueue) -> None:
    def by_id(order: Order, when: datetime) -> Any:
        return order.id, when.year

    @app.task(unique=by_id)
    def ship(order: Order, when: datetime) -> None: ...

    day, other = datetime(2026, 1, 1), datetime(2026, 2, 2)
    first = ship.enqueue(Order(1, "a"), day)
    assert ship.enqueue(Order(1, "b"), other) == first
    assert ship.enqueue(Order(2), day).created
    calls: list[Any] = [
        (Order(1), day),
        {"order": Order(3), "when": day},
        ship.call(Order(3), other),
    ]
    assert ship.enqueue_many(calls) == 1


def test_converted_arguments_are_compared_as_the_message_has_them(app: FluxQueue) -> None:
    @app.task(unique=True)
    def ship(order: Order, by: UUID | None = None) -> None: ...

    first = ship.enqueue(Order(1))
    assert ship.enqueue(order=Order(1)) == first
    assert ship.enqueue(Order(2)).created
    assert ship.enqueue_many([(Order(1),), (Order(2),), (Order(3),)]) == 1


def test_a_function_that_decides_nothing_is_an_error(app: FluxQueue, redis: Any) -> None:
    @app.task(unique=lambda number: None)
    def work(number: int) -> None: ...

    @app.task(unique=lambda number: object())
    def odd(number: int) -> None: ...

    for task in (work, odd):
        with pytest.raises(TypeError):
            task.enqueue(1)
        with pytest.raises(TypeError):
            task.enqueue_many([(1,)])
    assert pending(redis) == []


@each_way
@each_kind
def test_a_call_can_raise(app: FluxQueue, send: Send, kind: int) -> None:
    work = both_kinds(app, unique=True, on_conflict="raise")[kind]
    first = send(work, 1)
    with pytest.raises(DuplicateTask, match=first.id) as raised:
        send(work, 1)
    error = raised.value
    assert (error.handle, error.task_id, error.queue) == (first, first.id, "default")
    assert not error.handle.created
    # Another call of the same task decides otherwise.
    view = work.options(on_conflict="skip")
    assert send(view, 1) == first


@each_kind
def test_a_plain_call_obeys_the_lock_too(app: FluxQueue, redis: Any, kind: int) -> None:
    work = both_kinds(app, unique=True, on_conflict="raise")[kind]

    def call() -> None:
        if kind == 0:
            assert work(1) is None
        else:

            async def main() -> None:
                assert await work(1) is None

            asyncio.run(main())

    call()
    with pytest.raises(DuplicateTask):
        call()
    assert len(pending(redis)) == 1


@each_kind
@pytest.mark.parametrize("in_loop", [True, False])
def test_each_call_of_a_bulk_has_its_verdict(
    app: FluxQueue, redis: Any, kind: int, in_loop: bool
) -> None:
    work = both_kinds(app, unique=True)[kind]

    def send(calls: Any, view: Any = work) -> Any:
        if in_loop:
            return asyncio.run(view.enqueue_many_async(calls))
        return view.enqueue_many(calls)

    assert send([(1,), {"a": 1}, (2,), work.call(2), work.call(3)]) == 3
    assert send([(n,) for n in range(2_500)]) == 2_497
    assert len(pending(redis)) == 2_500
    assert send([(1,), (1,)], work.options(unique=False)) == 2
    with pytest.raises(DuplicateTask, match="2 of 3 calls") as raised:
        send([(1,), (2_500,), (2,)], work.options(on_conflict="raise"))
    assert raised.value.enqueued == 1


@each_kind
@pytest.mark.parametrize("in_loop", [True, False])
@pytest.mark.parametrize("is_unique", [True, False])
def test_each_call_of_a_bulk_has_its_handle(
    app: FluxQueue, redis: Any, kind: int, in_loop: bool, is_unique: bool
) -> None:
    work = both_kinds(app, unique=is_unique)[kind]

    def send(calls: Any, view: Any = work) -> Any:
        if in_loop:
            return asyncio.run(view.enqueue_each_async(calls))
        return view.enqueue_each(calls)

    first = work.enqueue(2)
    handles = send([(1,), {"a": 2}, (1,), work.call(3)])
    assert [handle.created for handle in handles] == [True, not is_unique, not is_unique, True]
    ids = [first.id, *(handle.id for handle in handles if handle.created)]
    assert [parts["task_id"] for parts in pending(redis)] == ids
    assert len(send([(n,) for n in range(10, 2_510)])) == 2_500
    if is_unique:
        assert (handles[1], handles[2]) == (first, handles[0])
        with pytest.raises(DuplicateTask):
            send([(1,)], work.options(on_conflict="raise"))
    once = work.options(unique=True, on_conflict="raise")
    with pytest.raises(DuplicateTask):
        send([once.call(7_000), once.call(7_000)])


def test_a_bad_call_of_a_bulk_is_named(app: FluxQueue) -> None:
    @app.task(unique=True)
    def work(number: int) -> None: ...

    bad: Any
    for bad in [(1, 2), {"name": 1}, 7, (object(),)]:
        with pytest.raises((TypeError, ValueError), match="call 1 "):
            work.enqueue_many([(0,), bad])
        with pytest.raises((TypeError, ValueError), match="call 1 "):
            asyncio.run(work.enqueue_many_async([(0,), bad]))


def test_a_call_can_want_a_lock_that_its_task_does_not(app: FluxQueue) -> None:
    @app.task()
    def work(number: int) -> None: ...

    once = work.options(unique=True)
    first = once.enqueue(1)
    assert once.enqueue(1) == first
    assert work.enqueue(1).created
    assert work.enqueue_many([(1,), once.call(1), once.call(2)]) == 2
    assert asyncio.run(work.enqueue_many_async([(1,), once.call(1), once.call(3)])) == 2


def test_an_id_of_a_unique_task_is_refused_with_its_handle(app: FluxQueue) -> None:
    @app.task(unique=True)
    def work(number: int) -> None: ...

    first = work.options(task_id="order-1").enqueue(1)
    again = work.options(task_id="order-1").enqueue(2)
    assert (again, again.created) == (first, False)
    assert work.options(task_id="order-2").enqueue(2).created


def test_other_options_travel_with_the_lock(app: FluxQueue, redis: Any) -> None:
    @app.task(unique=True, priority=5, expires=60, result_ttl=60, unique_ttl=5)
    def work(number: int) -> None: ...

    assert work.options(headers={"a": "b"}).enqueue(1).created
    [parts] = pending(redis)
    assert (parts["priority"], parts["result_ttl"], parts["headers"]) == (5, 60_000, {"a": "b"})
    [lock] = redis.keys(key("unique", "default", "*"))
    assert 0 < redis.pttl(lock) <= 5_000
    assert redis.hget(lock, "text") == b'work {"number":1}'


def test_a_throttled_task_is_enqueued_once_in_its_time(app: FluxQueue, redis: Any) -> None:
    @app.task(throttle=60, unique=("user",))
    def remind(user: int, text: str) -> None: ...

    first = remind.enqueue(1, "a")
    redis.delete(key("pending", "default"))  # as if it had run
    assert remind.enqueue(1, "b") == first and remind.enqueue(2, "a").created
    [lock, _] = sorted(redis.keys(key("unique", "default", "*")), key=redis.pttl)
    assert 0 < redis.pttl(lock) <= 60_000


def test_debounced_calls_become_one_with_the_newest_arguments(app: FluxQueue, redis: Any) -> None:
    @app.task(debounce=60, max_wait=90, unique=("doc",))
    def index(doc: int, text: str) -> None: ...

    handles = [index.enqueue(1, text) for text in "abc"]
    assert all(handle.created for handle in handles)
    index.enqueue_many([(1, "d"), (2, "x"), (1, "e")])
    delayed = redis.zrange(key("delayed", "default"), 0, -1, withscores=True)
    assert sorted(parse_message(raw)["args"] for raw, _ in delayed) == [b'[1,"e"]', b'[2,"x"]']
    assert pending(redis) == []


def test_a_debounced_call_says_when_it_begins_by_itself(app: FluxQueue) -> None:
    @app.task(debounce=60, max_wait=90)
    def index(doc: int) -> None: ...

    for options in (
        {"delay": 5},
        {"task_id": "a"},
        {"eta": datetime.fromisoformat("2026-01-01T00:00:00+00:00")},
    ):
        with pytest.raises(ConfigurationError, match="debounce"):
            index.options(**options)


def test_a_delayed_task_can_be_replaced(app: FluxQueue, redis: Any) -> None:
    @app.task(unique=("user",), on_conflict="replace")
    def remind(user: int, text: str) -> None: ...

    later = remind.options(delay=60)
    first, second = later.enqueue(1, "a"), later.enqueue(1, "b")
    assert second.created and second != first
    [raw] = redis.zrange(key("delayed", "default"), 0, -1)
    assert parse_message(raw)["args"] == b'[1,"b"]'


def test_only_a_task_whose_own_call_had_replace_can_be_replaced(app: FluxQueue, redis: Any) -> None:
    @app.task(unique=("user",))
    def remind(user: int, text: str) -> None: ...

    later = remind.options(delay=60)
    first = later.enqueue(1, "a")
    second = later.options(on_conflict="replace").enqueue(1, "b")
    assert (second, second.created) == (first, False)
    [raw] = redis.zrange(key("delayed", "default"), 0, -1)
    assert parse_message(raw)["args"] == b'[1,"a"]'
