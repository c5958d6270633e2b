"""Whatever JSON can carry arrives as it was sent, by every way of enqueueing; of what
it can't carry, nothing arrives."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fluxqueue import ArgumentTypeError, ArgumentValueError, FluxQueue
from fluxqueue_core import key, parse_message
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.planting import plant
from support.tasks import async_work_on, work_on
from support.waiting import wait_until
from support.worker_process import WorkerProcess

Call = tuple[list[Any], dict[str, Any]]

NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
EDGES = st.sampled_from([-(2**63), 2**63 - 1, 2**63, 2**64 - 1, 2**53 + 1, -0.0, 5e-324, 1e308])
ODD = st.sampled_from(
    ["\x00", "\x1b[2J\r\n", '"\\', "\x7f\x85\u2028", "\ufeff\uffff", "\U0001f600"]
)
TEXTS = st.text(max_size=8) | ODD
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | EDGES | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
CALLS = st.tuples(st.lists(VALUES, max_size=4), st.dictionaries(TEXTS, VALUES, max_size=3))


def circle() -> list[Any]:
    outer: list[Any] = [1]
    outer.append({"back": outer})
    return outer


TYPES = [{1}, b"x", object(), {1: 2}, {None: []}]
UNSENDABLE = [
    float("nan"),
    float("inf"),
    -float("inf"),
    2**64,
    -(2**63) - 1,
    "\ud800",
    {"\udfff": 1},
]
BAD = st.sampled_from(
    [(value, ArgumentTypeError) for value in TYPES]
    + [(value, ArgumentValueError) for value in [*UNSENDABLE, circle()]]
)


class Client:
    """The four ways to enqueue; the loop is the test's, so that a way keeps its connection."""

    def __init__(self, work: Any, work_async: Any) -> None:
        self._runner = asyncio.Runner()
        self._work, self._work_async = work, work_async
        self.ways: list[Callable[[Call], None]] = [
            self.call,
            self.call_async,
            self.many,
            self.many_async,
        ]

    def call(self, call: Call) -> None:
        self._work(*call[0], **call[1])

    def call_async(self, call: Call) -> None:
        async def main() -> None:
            await self._work_async(*call[0], **call[1])

        self._runner.run(main())

    def many(self, call: Call) -> None:
        self._work.enqueue_many(halves(call))

    def many_async(self, call: Call) -> None:
        self._runner.run(self._work.enqueue_many_async(halves(call)))

    def close(self) -> None:
        self._runner.close()


def halves(call: Call) -> list[tuple[Any, ...] | dict[str, Any]]:
    """A call of a bulk has positional or keyword arguments: one of each."""
    return [tuple(call[0]), call[1]]


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    client = Client(work_on(redis_url), async_work_on(redis_url))
    yield client
    client.close()


def arrived(redis: Any) -> list[Call]:
    """Takes out the waiting calls, first in first, decoded as a worker does it."""
    with redis.pipeline(transaction=True) as both:
        both.lrange(key("pending", "default"), 0, -1)
        both.delete(key("pending", "default"))
        messages = [parse_message(raw) for raw in reversed(both.execute()[0])]
    return [(orjson.loads(m["args"]), orjson.loads(m["kwargs"] or b"{}")) for m in messages]


def shown(calls: list[Call]) -> str:
    """Equal for equal calls only: 1, 1.0 and True are equal in Python, and -0.0 is 0.0."""
    return repr(calls)


def test_json_values_arrive_by_every_way(client: Client, redis: Any) -> None:
    @settings(max_examples=150)
    @example(call=([], {}))
    @example(call=([2**64 - 1, -(2**63), -0.0, True, 1, 1.0], {"": {"": [[], {}]}, "\x00": None}))
    @given(call=CALLS)
    def every_way(call: Call) -> None:
        for send in client.ways[:2]:
            send(call)
            assert shown(arrived(redis)) == shown([call]), send
        for send in client.ways[2:]:
            send(call)
            assert shown(arrived(redis)) == shown([(call[0], {}), ([], call[1])]), send

    every_way()


def test_a_call_with_a_value_that_json_lacks_enqueues_nothing(client: Client, redis: Any) -> None:
    good: Call = ([1], {"a": 2})
    client.call(good)

    @settings(max_examples=150)
    @given(call=CALLS, bad=BAD, data=st.data())
    def every_way(call: Call, bad: tuple[Any, type[Exception]], data: st.DataObject) -> None:
        args, kwargs = call
        value, kind = bad
        by_keyword: bool = data.draw(st.booleans())
        if kwargs and by_keyword:
            kwargs = plant(kwargs, value, data)
        else:
            args = plant(args or [None], value, data)
        for send in client.ways:
            with pytest.raises((ArgumentTypeError, ArgumentValueError)) as caught:
                send((args, kwargs))
            assert type(caught.value) is kind
            assert getattr(caught.value, "enqueued", 0) == 0
            assert redis.llen(key("pending", "default")) == 1, send

    every_way()
    # The connections are as good as before.
    for send in client.ways:
        send(good)
    assert arrived(redis) == [good] * 3 + [([1], {}), ([], {"a": 2})] * 2


APP = """
import json

@fluxqueue.task()
def work(number, /, *args, **kwargs):
    note(json.dumps([number, args, kwargs]))

@fluxqueue.task()
async def work_async(number, /, *args, **kwargs):
    note(json.dumps([number, args, kwargs]))
"""


def test_a_task_gets_what_its_caller_gave(tmp_path: Path, redis_url: str) -> None:
    app = FluxQueue(redis_url)

    @app.task()
    def work(number: int, /, *args: Any, **kwargs: Any) -> None: ...

    @app.task()
    async def work_async(number: int, /, *args: Any, **kwargs: Any) -> None: ...

    numbers = itertools.count()
    expected = []
    with WorkerProcess(tmp_path, redis_url, APP) as worker, asyncio.Runner() as runner:

        async def send_async(number: int, call: Call) -> None:
            await work_async(number, *call[0], **call[1])

        @settings(max_examples=20)
        @given(calls=st.lists(CALLS, min_size=5, max_size=10))
        def every_way(calls: list[Call]) -> None:
            for call in calls:
                first, second, third, fourth = (next(numbers) for _ in range(4))
                work(first, *call[0], **call[1])
                runner.run(send_async(second, call))
                work.enqueue_many([(third, *call[0])])
                runner.run(work_async.enqueue_many_async([(fourth, *call[0])]))
                for number in (first, second):
                    expected.append(json.dumps([number, call[0], call[1]]))
                for number in (third, fourth):
                    expected.append(json.dumps([number, call[0], {}]))
            wait_until(lambda: len(worker.notes()) >= len(expected), what=worker.output)
            assert sorted(worker.notes()) == sorted(expected)

        every_way()
        assert len(expected) >= 400
        assert worker.stop() == 0
    app.close()
