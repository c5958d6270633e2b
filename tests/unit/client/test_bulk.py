"""Bulk calls: what goes to the core, and what an error says."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fluxqueue import ArgumentTypeError, ArgumentValueError, BrokerUnavailable, FluxQueue, Task
from fluxqueue.bulk import CHUNK, IN_FLIGHT
from fluxqueue.options import Terms
from fluxqueue_core import Route
from fluxqueue_core.future import EnqueueFuture


def work(a: Any, b: Any = None) -> None: ...


class ChunkProducer:
    """Stands in for the core's asynchronous half; each chunk is held open
    until the test's `answer` is asked."""

    def __init__(self, answer: Callable[[int], Exception | None] = lambda chunk: None) -> None:
        self.answer = answer
        self.chunks: list[int] = []
        self.open: list[EnqueueFuture] = []
        self.most_open = 0

    def enqueue(self, *args: Any) -> None:
        raise AssertionError("a bulk call sends nothing one by one")

    enqueue_async = enqueue

    def enqueue_chunk_async(
        self, route: Route, calls: list[Any], check: Any, per_call: None, **_: Any
    ) -> EnqueueFuture:
        for index, call in enumerate(calls):
            try:
                check(*call) if isinstance(call, tuple) else check(**call)
            except TypeError as error:
                error.call_index = index  # type: ignore[attr-defined]
                raise
        number = len(self.chunks)
        self.chunks.append(len(calls))
        made = EnqueueFuture(loop=asyncio.get_running_loop())
        self.open.append(made)
        self.most_open = max(self.most_open, sum(not future.done() for future in self.open))

        def resolve() -> None:
            error = self.answer(number)
            if made.done():
                return
            if error is None:
                made.set_result(None)
            else:
                made.set_exception(error)

        asyncio.get_running_loop().call_later(0.001, resolve)
        return made


def task_on(producer: Any) -> Task[..., None]:
    return Task(work, producer, Route("q", "work"), Terms(3))


def send(task: Task[..., None], how: str, calls: Any) -> int:
    if how == "sync":
        return task.enqueue_many(calls)
    return asyncio.run(task.enqueue_many_async(calls))


def test_async_sends_slices_two_at_a_time() -> None:
    producer = ChunkProducer()
    calls = ((i,) for i in range(4 * CHUNK + 5))
    assert asyncio.run(task_on(producer).enqueue_many_async(calls)) == 4 * CHUNK + 5
    assert producer.chunks == [CHUNK] * 4 + [5]
    assert producer.most_open == IN_FLIGHT


def test_async_takes_no_more_calls_than_it_sends() -> None:
    producer = ChunkProducer()
    taken: list[int] = []

    def calls() -> Iterator[tuple[int]]:
        for number in range(10 * CHUNK):
            taken.append(number)
            yield (number,)

    async def main() -> None:
        task = asyncio.create_task(task_on(producer).enqueue_many_async(calls()))
        await asyncio.sleep(0)
        assert len(taken) == IN_FLIGHT * CHUNK
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(future.cancelled() for future in producer.open)

    asyncio.run(main())


def test_an_empty_bulk_enqueues_nothing() -> None:
    assert asyncio.run(task_on(ChunkProducer()).enqueue_many_async([])) == 0


@pytest.mark.parametrize(
    ("bad", "kind", "said"),
    [
        ((1, 2, 3), ArgumentTypeError, "work() takes from 1 to 2 positional arguments but 3"),
        ({"c": 1}, ArgumentTypeError, "work() got an unexpected keyword argument 'c'"),
        ([1], ArgumentTypeError, "it is a list; a call is a tuple of positional arguments,"),
        ("ab", ArgumentTypeError, "it is a str; a call is a tuple"),
        (({1},), ArgumentTypeError, "argument a is a set"),
        ({"a": 1, "b": float("nan")}, ArgumentValueError, "argument b is NaN"),
    ],
)
@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_call_that_can_not_be_sent_is_named(
    how: str, bad: Any, kind: type[Exception], said: str
) -> None:
    # No Redis is there: the core finds the bad call before it connects.
    task = FluxQueue("redis://127.0.0.1:1").task(queue="q")(work)
    calls = [(1,), {"a": 1}, OrderedDict(a=1), bad, (1,)]
    with pytest.raises(kind) as caught:
        send(task, how, iter(calls))
    text = str(caught.value)
    assert text.startswith("task 'work' (queue 'q'), call 3 (0 calls were enqueued before it): ")
    assert said in text
    assert caught.value.enqueued == 0  # type: ignore[attr-defined]


def test_chunks_on_their_way_are_counted_when_a_later_call_is_bad() -> None:
    producer = ChunkProducer()
    calls = [(1,)] * (2 * CHUNK) + [()]
    with pytest.raises(ArgumentTypeError) as caught:
        asyncio.run(task_on(producer).enqueue_many_async(calls))
    assert caught.value.enqueued == 2 * CHUNK
    assert f"call {2 * CHUNK} ({2 * CHUNK} calls were enqueued before it)" in str(caught.value)


def test_an_error_of_redis_says_how_many_calls_went() -> None:
    producer = ChunkProducer(lambda n: BrokerUnavailable("away") if n == 1 else None)
    with pytest.raises(BrokerUnavailable) as caught:
        asyncio.run(task_on(producer).enqueue_many_async([(1,)] * (5 * CHUNK)))
    # The third chunk had left when the second one failed; it is in Redis.
    assert producer.chunks == [CHUNK] * 3
    assert caught.value.enqueued == 2 * CHUNK
    assert str(caught.value).startswith("away")
    assert f"{2 * CHUNK} calls" in str(caught.value)


@pytest.mark.parametrize("how", ["sync", "async"])
def test_an_error_of_the_iterable_is_passed_on_with_a_note(how: str) -> None:
    def calls() -> Iterator[tuple[int]]:
        yield (1,)
        raise LookupError("mine")

    task = FluxQueue("redis://127.0.0.1:1").task(queue="q")(work)
    with pytest.raises(LookupError, match="mine") as caught:
        send(task, how, calls())
    assert caught.value.enqueued == 0  # type: ignore[attr-defined]
    assert caught.value.__notes__ == [
        "task 'work' (queue 'q'): 0 calls were enqueued before this error"
    ]


@pytest.mark.parametrize("calls", [5, None, "text", {"a": 1}])
@pytest.mark.parametrize("how", ["sync", "async"])
def test_an_object_that_is_not_an_iterable_of_calls_is_refused(how: str, calls: Any) -> None:
    task = task_on(ChunkProducer())
    with pytest.raises(TypeError, match="pass an iterable of calls, not a"):
        send(task, how, calls)
