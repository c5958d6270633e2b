"""`Producer.enqueue`: the bytes in Redis, the arguments that it refuses, its connections."""

from __future__ import annotations

import dataclasses
import enum
import math
import os
import re
import signal
import threading
from typing import Any

import pytest
from fluxqueue_core import Producer, Route, Settings, json_codec, key
from fluxqueue_core.errors import ConfigurationError, MessageTooLarge
from support.connections import connections
from support.producing import ROUTE, producer
from support.scripted_redis import ScriptedRedis, integer
from support.waiting import wait_until

ID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def waiting(redis: Any, queue: str = "q") -> list[bytes]:
    found: list[bytes] = redis.lrange(key("pending", queue), 0, -1)
    return found[::-1]


@pytest.mark.parametrize(
    ("route", "args", "kwargs", "rest"),
    [
        (Route("q", "task"), (), {}, '"name":"task","args":[]'),
        (Route("q", "task"), (1, "ä"), {}, '"name":"task","args":[1,"ä"]'),
        (Route("q", "task"), (), {"a": None}, '"name":"task","args":[],"kwargs":{"a":null}'),
        (
            Route("q", "t", max_retries=0),
            ([],),
            {"b": {}},
            '"name":"t","args":[[]],"kwargs":{"b":{}},"max_retries":0',
        ),
        (Route("q", "t", timeout=2.5), (), {}, '"name":"t","args":[],"timeout":2.5'),
    ],
)
def test_the_message_is_as_the_protocol_says(
    redis_url: str, redis: Any, route: Route, args: Any, kwargs: Any, rest: str
) -> None:
    producer(redis_url).enqueue(route, args, kwargs)
    [message] = waiting(redis)
    pattern = rf'{{"v":1,"id":"{ID}",{re.escape(rest)}}}'
    assert re.fullmatch(pattern, message.decode()), message


ID_GIVEN = "01976a4f-0000-7000-8000-00000000000a"


@pytest.mark.parametrize(
    ("headers", "task_id", "part"),
    [
        (None, "short", "is not a UUID in lower case"),
        (None, 36 * "x", "is not a UUID in lower case"),
        (None, f'{ID_GIVEN[:-8]}","a":"b', "is not a UUID in lower case"),
        (None, ID_GIVEN.upper(), "is not a UUID in lower case"),
        (None, ID_GIVEN.replace("-", ""), "is not a UUID in lower case"),
        (b"[]", None, "expected an object of strings"),
        (b'{"a":}', None, "expected value"),
        (b'{"a":1}', None, "expected a string"),
        (b'{"a":"b"},"name":{}', None, "trailing characters"),
        (b'{"a":"\xff"}', None, "invalid utf-8"),
        (b'{"a":"%s"}' % (b"x" * 65_536), None, "65537 bytes, more than 65536"),
    ],
)
def test_an_id_or_headers_that_would_break_the_message(
    redis_url: str, redis: Any, headers: bytes | None, task_id: str | None, part: str
) -> None:
    """Nothing is sent, and the producer goes on."""
    sender = producer(redis_url)
    with pytest.raises(ValueError, match=re.escape(part)):
        sender.enqueue(ROUTE, (1,), {}, headers, task_id)
    with pytest.raises(ValueError, match=re.escape(part)):
        sender.enqueue_many(ROUTE, [(1,)], lambda _: None, lambda *_: (headers, task_id))
    assert waiting(redis) == []
    sender.enqueue(ROUTE, (1,), {}, b'{"a":"b"}', ID_GIVEN)
    assert [json_codec.loads(message)["id"] for message in waiting(redis)] == [ID_GIVEN]


class Color(enum.Enum):
    NONE = math.nan


@dataclasses.dataclass
class Point:
    x: float
    _hidden: float = math.nan


@dataclasses.dataclass(slots=True)
class Slotted:
    x: float
    y: None = None


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        [[1.5, [math.nan]]],
        {"a": {"b": math.inf}},
        (None, (1, math.nan)),
        Color.NONE,
        Point(math.nan),
        Slotted(math.nan),
        [{"deep": Slotted(math.inf)}],
    ],
)
def test_nan_and_infinities_are_refused(redis_url: str, redis: Any, value: Any) -> None:
    sender = producer(redis_url)
    for args, kwargs in [((value,), {}), ((), {"k": value})]:
        with pytest.raises(ValueError, match="NaN or an infinity"):
            sender.enqueue(ROUTE, args, kwargs)
        with pytest.raises(ValueError, match="NaN or an infinity"):
            sender.enqueue_many(ROUTE, [args or kwargs], lambda *_, **__: None)
    assert waiting(redis) == []


@pytest.mark.parametrize(
    "value", [None, "null", [None, 1.5], {"null": 2}, Point(1.0), Slotted(1.0)]
)
def test_null_for_other_reasons_is_sent(redis_url: str, redis: Any, value: Any) -> None:
    producer(redis_url).enqueue(ROUTE, (value, None), {})
    assert len(waiting(redis)) == 1


def test_an_exception_of_orjson_passes_unchanged(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url)
    circle: list[Any] = []
    circle.append(circle)
    for value in ({1, 2}, b"bytes", 2**64, {1: 2}, "\ud800", circle, object()):
        with pytest.raises(json_codec.JSONEncodeError):
            sender.enqueue(ROUTE, (value,), {})
    assert waiting(redis) == []


def test_the_largest_message_passes_and_one_byte_more_does_not(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url, max_message_bytes=1000)
    sender.enqueue(ROUTE, ("",), {})
    room = 1000 - len(waiting(redis)[0])
    sender.enqueue(ROUTE, ("x" * room,), {})
    assert len(waiting(redis)[1]) == 1000
    with pytest.raises(MessageTooLarge, match=r"'task' .* 1001 bytes, .* \(1000\)"):
        sender.enqueue(ROUTE, ("x" * (room + 1),), {})
    assert len(waiting(redis)) == 2


@pytest.mark.parametrize(
    ("names", "terms", "part"),
    [
        (("", "t"), {}, "queue name"),
        (("q", "a b"), {}, "task name"),
        (("q\ud800", "t"), {}, r"'q\\ud800' has lone surrogates"),
        (("q", "a\nb\ud800"), {}, r"'a\\nb\\ud800' has lone surrogates"),
        (("q", "t"), {"max_retries": -1}, "max_retries is -1"),
        (("q", "t"), {"max_retries": 2**40}, "max_retries"),
        (("q", "t"), {"timeout": 0.0}, "timeout"),
        (("q", "t"), {"timeout": math.nan}, "timeout"),
        (("q", "t"), {"timeout": math.inf}, "timeout"),
    ],
)
def test_a_route_that_is_not_valid(names: tuple[str, str], terms: Any, part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        Route(*names, **terms)


def test_a_signal_handler_may_enqueue_in_the_middle_of_a_call() -> None:
    def script(number: int, command: list[bytes]) -> Any:
        if number == 0:
            signal.pthread_kill(main, signal.SIGUSR1)
            nested.wait(20)
        return integer(number, command)

    main = threading.get_ident()
    nested = threading.Event()
    with ScriptedRedis(script) as server:
        sender = producer(server.url)

        def handler(*_: Any) -> None:
            sender.enqueue(ROUTE, ("nested",), {})
            nested.set()

        before = signal.signal(signal.SIGUSR1, handler)
        try:
            sender.enqueue(ROUTE, ("outer",), {})
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert [b"nested" in words[2] for words in server.pushed] == [False, True]
        sender.enqueue(ROUTE, (3,), {})
        assert server.connections == 2


def test_an_argument_may_enqueue_while_it_is_written(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url)

    @dataclasses.dataclass
    class Odd:
        value: str

        def __getattribute__(self, name: str) -> Any:
            if name == "__dict__":
                sender.enqueue(ROUTE, ("inner",), {})
            return super().__getattribute__(name)

    odd = Odd("outer")
    sender.enqueue(ROUTE, (odd,), {})
    assert [b"outer" in message for message in waiting(redis)] == [False, True]


def test_a_producer_that_is_gone_has_closed_its_connection(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url)
    sender.enqueue(ROUTE, (), {})
    assert connections(redis) == 1
    del sender
    wait_until(lambda: connections(redis) == 0)


def test_two_producers_do_not_share_a_connection(redis_url: str, redis: Any) -> None:
    settings = Settings(redis_url)
    senders = [Producer(settings), Producer(settings)]
    for sender in senders * 2:
        sender.enqueue(ROUTE, (), {})
    assert connections(redis) == 2
    assert len(waiting(redis)) == 4


def test_a_forked_child_leaves_the_conversation_to_its_parent(redis_url: str, redis: Any) -> None:
    sender = producer(redis_url)
    sender.enqueue(ROUTE, ("parent", 1), {})
    opened = redis.info("stats")["total_connections_received"]
    child = os.fork()
    if child == 0:
        try:
            sender.enqueue(ROUTE, ("child",), {})
            sender.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    sender.enqueue(ROUTE, ("parent", 2), {})
    assert redis.info("stats")["total_connections_received"] == opened + 1  # the child's
    ids = [message[13:49] for message in waiting(redis)]
    assert len(set(ids)) == 3
