"""`Producer.enqueue_many`: its chunks, and the details in its errors."""

from __future__ import annotations

import _thread
import collections
import json
import os
import threading
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from fluxqueue_core import Producer, Route, Settings, key
from fluxqueue_core.errors import (
    BrokerError,
    BrokerUnavailable,
    EnqueueUncertain,
    MessageTooLarge,
)
from support.raw_server import RawServer, answer, cut_after, greet, reset
from support.scripted_redis import CLOSE, SILENCE, ScriptedRedis, integer

ROUTE = Route("q", "task")


def producer(url: str, **options: Any) -> Producer:
    return Producer(Settings(url, **options))


def anything(*args: Any, **kwargs: Any) -> None: ...


def tuples(number: int) -> Iterator[tuple[int]]:
    return ((n,) for n in range(number))


def argument(message: bytes) -> Any:
    return json.loads(message)["args"][0]


def numbers(redis: Any) -> list[Any]:
    return [argument(m) for m in redis.lrange(key("pending", "q"), 0, -1)[::-1]]


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 12_345])
def test_the_calls_of_a_bulk_arrive_in_order(redis_url: str, redis: Any, count: int) -> None:
    assert producer(redis_url).enqueue_many(ROUTE, tuples(count), anything) == count
    assert numbers(redis) == list(range(count))


def test_chunks_are_bounded_in_number_and_in_bytes() -> None:
    with ScriptedRedis() as server:
        sender = producer(server.url)
        sender.enqueue_many(ROUTE, tuples(2_500), anything)
        sender.enqueue_many(ROUTE, [("x" * 400_000,)] * 7, anything)
        assert [len(words) - 2 for words in server.pushed] == [1000, 1000, 500, 3, 3, 1]
        assert server.connections == 1


class Pair(NamedTuple):
    a: int
    b: int


def test_every_kind_of_call(redis_url: str, redis: Any) -> None:
    calls: list[Any] = [
        (1, 2),
        Pair(3, 4),
        {"a": 5},
        collections.OrderedDict(b=6),
        types.MappingProxyType({"c": 7}),
        (),
        {},
    ]
    seen: list[Any] = []
    sender = producer(redis_url)
    sent = sender.enqueue_many(ROUTE, calls, lambda *args, **kwargs: seen.append((args, kwargs)))
    assert sent == 7
    expected: list[Any] = [
        ((1, 2), {}),
        ((3, 4), {}),
        ((), {"a": 5}),
        ((), {"b": 6}),
        ((), {"c": 7}),
        ((), {}),
        ((), {}),
    ]
    assert seen == expected
    messages = [json.loads(m) for m in redis.lrange(key("pending", "q"), 0, -1)[::-1]]
    assert [(tuple(m["args"]), m.get("kwargs", {})) for m in messages] == expected


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ([1], TypeError),
        ("text", TypeError),
        (None, TypeError),
        ({1: 2}, TypeError),
        (({1},), TypeError),
        ((float("inf"),), ValueError),
        (("x" * 2000,), MessageTooLarge),
        ((-1,), LookupError),
    ],
)
@pytest.mark.parametrize(("index", "enqueued"), [(0, 0), (999, 0), (1000, 1000), (4500, 4000)])
def test_a_bad_call_says_where_it_is_and_what_went_before(
    redis_url: str, redis: Any, bad: Any, kind: type[Exception], index: int, enqueued: int
) -> None:
    def check(*args: Any, **kwargs: Any) -> None:
        if args == (-1,):
            raise LookupError("no such thing")

    calls: list[Any] = list(tuples(5000))
    calls[index] = bad
    sender = producer(redis_url, max_message_bytes=1000)
    with pytest.raises(kind) as caught:
        sender.enqueue_many(ROUTE, calls, check)
    assert (caught.value.call_index, caught.value.enqueued) == (index, enqueued)  # type: ignore[attr-defined]
    assert numbers(redis) == list(range(enqueued))
    assert sender.enqueue_many(ROUTE, tuples(3), check) == 3


def test_an_error_of_the_iterable_waits_for_what_is_on_its_way(redis_url: str, redis: Any) -> None:
    def broken() -> Iterator[tuple[int]]:
        yield from tuples(2_500)
        raise KeyError("source")

    with pytest.raises(KeyError) as caught:
        producer(redis_url).enqueue_many(ROUTE, broken(), anything)
    assert caught.value.enqueued == 2000  # type: ignore[attr-defined]
    assert not hasattr(caught.value, "call_index")
    assert numbers(redis) == list(range(2000))


def test_an_object_that_is_not_iterable_is_refused(redis_url: str) -> None:
    with pytest.raises(TypeError) as caught:
        producer(redis_url).enqueue_many(ROUTE, 5, anything)  # type: ignore[arg-type]
    assert caught.value.enqueued == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_chunk_that_redis_refuses(at: int) -> None:
    def script(number: int, command: list[bytes]) -> bytes:
        return b"-OOM command not allowed\r\n" if number == at else integer(number, command)

    with ScriptedRedis(script) as server:
        sender = producer(server.url)
        with pytest.raises(BrokerError, match="OOM") as caught:
            sender.enqueue_many(ROUTE, tuples(4000), anything)
        # Those of the refused chunk are missing, one more may have been on its way.
        assert caught.value.enqueued == (len(server.pushed) - 1) * 1000
        assert at <= len(server.pushed) - 1 <= at + 1
        assert sender.enqueue_many(ROUTE, tuples(3), anything) == 3
        assert server.connections == 1


@pytest.mark.parametrize("fault", [CLOSE, SILENCE, b"+OK\r\n", b"garbage\r\n"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_chunk_whose_answer_is_lost(at: int, fault: Any) -> None:
    def script(number: int, command: list[bytes]) -> Any:
        if number == at or (fault == SILENCE and at < number < 3 and server.connections == 1):
            return fault
        return integer(number, command)

    with ScriptedRedis(script) as server:
        sender = producer(server.url, timeout=1.5)
        with pytest.raises(EnqueueUncertain, match=r"\d000 calls may or may not") as caught:
            sender.enqueue_many(ROUTE, tuples(3000), anything)
        assert caught.value.enqueued == at * 1000
        assert sender.enqueue_many(ROUTE, tuples(3), anything) == 3
        assert server.connections == 2


def test_while_redis_is_loading_chunks_wait_in_their_order() -> None:
    executed: list[bytes] = []

    def script(number: int, command: list[bytes]) -> bytes:
        if 1 <= number < 7:
            return b"-LOADING Redis is loading\r\n"
        executed.extend(command[2:])
        return b":1\r\n"

    with ScriptedRedis(script) as server:
        assert producer(server.url).enqueue_many(ROUTE, tuples(5000), anything) == 5000
        assert [argument(message) for message in executed] == list(range(5000))


def test_a_redis_that_goes_on_loading_is_unavailable() -> None:
    with ScriptedRedis(lambda *_: b"-LOADING Redis is loading\r\n") as server:
        with pytest.raises(BrokerUnavailable, match=r"LOADING.* 2000 calls were not") as caught:
            producer(server.url, timeout=0.3).enqueue_many(ROUTE, tuples(2000), anything)
        assert caught.value.enqueued == 0


def test_a_chunk_that_was_cut_before_its_end_is_sent_again() -> None:
    server = RawServer(cut_after(100_000), lambda connection: server.serve(connection))
    with server:
        sender = producer(server.url, max_message_bytes=64 << 20)
        calls = [(n, "x" * (32 << 20)) for n in range(2)]
        assert sender.enqueue_many(ROUTE, calls, anything) == 2
        assert [argument(message) for message in server.messages] == [0, 1]


def test_the_chunk_before_one_that_was_cut_is_settled_by_its_answer() -> None:
    """The first chunk is answered, then the connection is cut in the middle of
    the second: the first one counts, the second one is sent again."""

    def first_only(connection: Any) -> None:
        greet(connection)
        left = 4 << 20
        while left > 0:
            left -= len(connection.recv(min(left, 1 << 16)))
        connection.sendall(b":1\r\n")
        reset(connection)

    def calls() -> Iterator[tuple[int, str]]:
        yield 0, "x" * (3 << 20)
        yield 1, "x" * (32 << 20)

    server = RawServer(first_only, lambda connection: server.serve(connection))
    with server:
        sender = producer(server.url, max_message_bytes=64 << 20)
        assert sender.enqueue_many(ROUTE, calls(), anything) == 2
        assert [argument(message) for message in server.messages] == [1]


def test_the_iterable_may_enqueue(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url)

    def calls() -> Iterator[tuple[str]]:
        for n in range(1500):
            if n % 500 == 0:
                sender.enqueue(ROUTE, (f"single {n}",), {})
                sender.enqueue_many(ROUTE, [(f"nested {n}",)], anything)
            yield (f"bulk {n}",)

    assert sender.enqueue_many(ROUTE, calls(), anything) == 1500
    found = numbers(redis)
    assert [n for n in found if n.startswith("bulk")] == [f"bulk {n}" for n in range(1500)]
    assert sorted(n for n in found if not n.startswith("bulk")) == sorted(
        f"{kind} {n}" for kind in ("single", "nested") for n in (0, 500, 1000)
    )


def test_a_fork_in_the_middle_of_the_iterable(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url)

    def calls() -> Iterator[tuple[Any]]:
        yield from tuples(2000)  # two chunks are on their way
        child = os.fork()
        if child == 0:
            status = 1
            try:
                sender.enqueue(ROUTE, ("child",), {})
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        yield from tuples(2000)

    assert sender.enqueue_many(ROUTE, calls(), anything) == 4000
    found = numbers(redis)
    assert found.count("child") == 1
    assert [n for n in found if n != "child"] == list(range(2000)) * 2


def test_a_child_that_goes_on_with_its_parents_bulk(redis_url: str, redis: Any) -> None:
    """The child does not read its parent's answers, and says so."""
    sender = producer(redis_url)
    parent = os.getpid()

    def calls() -> Iterator[tuple[Any]]:
        yield from tuples(2000)
        if os.fork() == 0:
            yield from ((f"child {n}",) for n in range(1000))
        else:
            assert os.wait()[1] == 7 << 8
            yield from tuples(1000)

    try:
        sent = sender.enqueue_many(ROUTE, calls(), anything)
    except EnqueueUncertain:
        if os.getpid() != parent:
            os._exit(7)
        raise
    finally:
        if os.getpid() != parent:
            os._exit(1)
    assert sent == 3000
    assert [n for n in numbers(redis) if isinstance(n, int)] == [*range(2000), *range(1000)]


def test_ctrl_c_says_what_went_before() -> None:
    def script(number: int, command: list[bytes]) -> Any:
        if number < 2:
            return integer(number, command)
        if number == 2:
            _thread.interrupt_main()
        return SILENCE

    with ScriptedRedis(script) as server:
        with pytest.raises(KeyboardInterrupt) as caught:
            producer(server.url, timeout=60).enqueue_many(ROUTE, tuples(5000), anything)
        # The answer to the second chunk is read, or not any more.
        assert caught.value.enqueued in (1000, 2000)  # type: ignore[attr-defined]


def test_ctrl_c_reaches_an_iterable_written_in_c(redis_url: str) -> None:
    import itertools

    def check(number: int) -> None:
        if number == 50_000:
            _thread.interrupt_main()

    # `check` is Python code and would be interrupted itself; a builtin is not.
    calls = zip(itertools.count())
    with pytest.raises(KeyboardInterrupt) as caught:
        producer(redis_url).enqueue_many(ROUTE, calls, check)
    # Two chunks may be on their way: an interrupt does not wait for their answers.
    assert caught.value.enqueued >= 48_000  # type: ignore[attr-defined]


def test_threads_send_bulks_at_once(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url)

    def work(thread: int) -> None:
        sender.enqueue_many(Route(f"q{thread}", "task"), tuples(10_000), anything)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(6):
        found = redis.lrange(key("pending", f"q{n}"), 0, -1)[::-1]
        assert [argument(message) for message in found] == list(range(10_000))


def test_answers_in_one_piece_are_told_apart() -> None:
    """Both chunks on their way are answered by one packet."""

    def held(connection: Any) -> None:
        replies: list[bytes] = []

        def pushed(words: list[bytes]) -> bytes:
            replies.append(b":1\r\n")
            if len(replies) < 2:
                return b""
            both = b"".join(replies)
            replies.clear()
            return both

        answer(connection, pushed)

    with RawServer(held) as server:
        assert producer(server.url).enqueue_many(ROUTE, tuples(4000), anything) == 4000
