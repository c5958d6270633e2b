"""Messages of 0.3.2 become messages of this release."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import orjson
import pytest
from fluxqueue_control.old_messages import Names, UnreadableError, converted
from fluxqueue_core import Producer, Settings, parse_message
from support.old_messages import ADD, ADD_NESTED, ADD_TEXT, CALLED, MAIL, old_message

KEPT = Names({"send-mail": "send-mail"})
PRODUCER = Producer(Settings("redis://127.0.0.1:1"))


def read(raw: bytes) -> dict[str, Any]:
    return parse_message(converted(raw, PRODUCER, "mails", KEPT))


@pytest.mark.parametrize(
    ("raw", "name", "args", "kwargs", "max_retries"),
    [
        (ADD, "add", [1], None, 3),
        (ADD_TEXT, "add", [1.5], {"b": "é"}, 3),
        (ADD_NESTED, "add", [[1, {"a": None}]], {"c": {"x": [True]}}, 3),
        (MAIL, "send-mail", ["a@example.com"], {"n": 2**40}, 7),
    ],
    ids=["number", "text", "nested", "mail"],
)
def test_each_part_of_an_old_message_stays(
    raw: bytes, name: str, args: list[Any], kwargs: object, max_retries: int
) -> None:
    found = read(raw)
    assert (found["name"], orjson.loads(found["args"])) == (name, args)
    assert (None if found["kwargs"] is None else orjson.loads(found["kwargs"])) == kwargs
    assert (found["max_retries"], found["retries"]) == (max_retries, 0)
    assert found["enqueued_at"] == CALLED
    assert found["task_id"].encode() in raw


def test_the_count_of_failures_stays() -> None:
    assert read(old_message(1, retries=2))["retries"] == 2


def test_it_is_the_message_that_a_client_writes() -> None:
    from fluxqueue_core import Route

    own = PRODUCER.message(
        Route("mails", "send-mail", max_retries=7),
        ("a@example.com",),
        {"n": 2**40},
        None,
        "dae8ae0b-9af8-4233-a3ba-8310cd64b795",
    )
    assert converted(MAIL, PRODUCER, "mails", KEPT)[:-14] == own[:-14]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "it is not MessagePack"),
        (b"hello", "it is not MessagePack"),
        (ADD[:-1], "it is not MessagePack"),
        (msgspec.msgpack.encode([1, 2]), "it is not a message of 0.3.2"),
        (msgspec.msgpack.encode(["a", "b", [300], [128], 1, 0, 3]), "not an array of bytes"),
        (msgspec.msgpack.encode(["a", "b", ["x"], [128], 1, 0, 3]), "it is not MessagePack"),
        (msgspec.msgpack.encode(["a", "b", [128], [144], 1, 0, 3]), "not an array and a map"),
        (old_message(task_id="17"), "its id is not a UUID"),
        (old_message(retries=-1), "a number is out of its range"),
        (old_message(float("nan")), "NaN"),
        (old_message(b"bytes"), "bytes"),
        (old_message({1: 2}), "str"),
        (old_message(name="a\nb"), "name"),
        (old_message(max_retries=-1), "a number is out of its range"),
        (old_message(max_retries=1 << 40), "max_retries"),
        (old_message("x" * 9_000_000), "bytes"),
    ],
    ids=count(),
)
def test_a_message_that_this_release_cannot_have_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        converted(raw, PRODUCER, "mails", KEPT)


@pytest.mark.parametrize(
    ("old", "names", "new"),
    [
        ("add", Names(), "add"),
        ("send-mail", Names({"send-mail": "send_mail"}), "send_mail"),
        ("send-mail", Names(underscores=True), "send_mail"),
        ("send-mail", Names({"send-mail": "send-mail"}, underscores=True), "send-mail"),
        ("send-mail", Names({"add": "plus"}), None),
        ("add", Names({"add": "plus"}), "plus"),
    ],
)
def test_the_name_is_that_of_the_code_or_none(old: str, names: Names, new: str | None) -> None:
    raw = old_message(1, name=old)
    if new is None:
        with pytest.raises(UnreadableError, match="--name send-mail=send_mail"):
            converted(raw, PRODUCER, "mails", names)
    else:
        assert parse_message(converted(raw, PRODUCER, "mails", names))["name"] == new
