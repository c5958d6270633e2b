"""The error for a value that JSON can't carry names its place and a remedy."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import inspect
import pathlib
import uuid
import zoneinfo
from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest
from fluxqueue import ArgumentTypeError, ArgumentValueError, FluxQueue
from fluxqueue.arguments import diagnose
from hypothesis import given
from hypothesis import strategies as st
from support.planting import plant

app = FluxQueue("redis://127.0.0.1:1", connect_timeout=0.1, timeout=0.1)


@app.task(queue="q")
def work(order: Any, /, second: Any = None, *rest: Any, flag: Any = None, **more: Any) -> None: ...


@app.task(queue="q")
async def work_async(order: Any, second: Any = None) -> None: ...


@dataclasses.dataclass
class Line:
    price: Any
    name: str = "line"


@dataclasses.dataclass(slots=True)
class Slotted:
    price: Any


class Colour(enum.Enum):
    RED = "red"
    BAD = b"red"


class Text(enum.StrEnum):
    A = "a"


class Metres(float): ...


class Count(int): ...


class Name(str): ...


class Model:
    def model_dump(self, mode: str) -> None: ...


class Array:
    def tolist(self) -> None: ...


Point = namedtuple("Point", "x y")


class BadObject: ...


def circle() -> list[Any]:
    outer: list[Any] = [1]
    outer.append({"back": outer})
    return outer


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


TYPES = [
    (({1, 2},), {}, "argument order is a set", "list(value)"),
    ((frozenset(),), {}, "argument order is a frozenset", "list(value)"),
    ((b"x",), {}, "argument order is a bytes", "base64"),
    ((bytearray(),), {}, "argument order is a bytearray", "link"),
    ((decimal.Decimal(1),), {}, "argument order is a Decimal", "str(value)"),
    ((datetime.timedelta(1),), {}, "argument order is a timedelta", "total_seconds()"),
    ((Metres(1.5),), {}, "argument order is a Metres", "pass float(value)"),
    ((1j,), {}, "argument order is a complex", "value.real"),
    ((pathlib.Path("x"),), {}, "argument order is a PosixPath", "str(value)"),
    ((Point(1, 2),), {}, "argument order is a Point", "_asdict()"),
    ((deque(),), {}, "argument order is a deque", "list(value)"),
    ((iter(()),), {}, "argument order is a tuple_iterator", "list(value)"),
    ((int,), {}, "argument order is a type", "its name"),
    ((len,), {}, "argument order is a builtin_function_or_method", "its name"),
    ((work,), {}, "argument order is a Task", "its name"),
    ((asyncio,), {}, "argument order is a module", "its name"),
    ((Model(),), {}, "argument order is a Model", 'model_dump(mode="json")'),
    ((Array(),), {}, "argument order is an Array", "tolist()"),
    ((object(),), {}, "argument order is an object", "its id"),
    ((datetime.time(1, tzinfo=datetime.UTC),), {}, "argument order is a time", "isoformat()"),
    (({1: 2},), {}, "argument order is a dict with a key of type int", "str(key)"),
    (({Text.A: 2},), {}, "argument order is a dict with a key of type Text", "key.value"),
    ((1, [0, {"a": {None: 2}}]), {}, 'argument second[1]["a"] is a dict with a key', "str(key)"),
    (({"lines": [0, 1, Line({1})]},), {}, 'argument order["lines"][2].price is a set', "list"),
    ((Slotted(b""),), {}, "argument order.price is a bytes", "base64"),
    ((Colour.BAD,), {}, "argument order.value is a bytes", "base64"),
    ((1, 2, 3, {4}), {}, "argument rest[1] is a set", "list"),
    ((1,), {"second": {4}}, "argument second is a set", "list"),
    ((1,), {"flag": {4}}, "argument flag is a set", "list"),
    ((1,), {"extra": [{4}]}, "argument extra[0] is a set", "list"),
    ((1,), {"order": {4}}, "argument order is a set", "list"),
    ((1,), {"no name": {4}}, 'argument more["no name"] is a set', "list"),
    ((1, {"ö" * 50: {4}}), {}, 'argument second["' + "\\xf6" * 40 + '..."] is a set', "list"),
]

VALUES = [
    ((2**64,), {}, "argument order is an integer beyond 64 bits", "str(value)"),
    ((Count(2**64),), {}, "argument order is an integer beyond 64 bits", "str(value)"),
    ((-(2**63) - 1,), {}, "argument order is an integer beyond 64 bits", "str(value)"),
    ((float("nan"),), {}, "argument order is NaN or an infinity", "None"),
    ((1,), {"flag": [float("inf")]}, "argument flag[0] is NaN or an infinity", "None"),
    ((Line({"a": float("-inf")}),), {}, 'argument order.price["a"] is NaN', "None"),
    (("\ud800",), {}, "argument order is a str with lone surrogates", "errors='replace'"),
    (({"\ud800": 1},), {}, "a key of argument order is a str with lone surrogates", "base64"),
    ((1,), {"\ud800": 1}, "surrogates", "base64"),
    ((circle(),), {}, 'argument order contains itself (at order[1]["back"])', "circle"),
    ((1, nested(300)), {}, "argument second is nested too deeply", "flatter"),
]


@pytest.mark.parametrize(("args", "kwargs", "said", "remedy"), TYPES)
def test_a_type_that_json_lacks(args: Any, kwargs: Any, said: str, remedy: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        work(*args, **kwargs)
    text = str(caught.value)
    assert text.startswith(f"task 'work' (queue 'q'): {said}")
    assert remedy in text
    assert caught.value.enqueued == 0


@pytest.mark.parametrize(("args", "kwargs", "said", "remedy"), VALUES)
def test_a_value_that_json_lacks(args: Any, kwargs: Any, said: str, remedy: str) -> None:
    with pytest.raises(ArgumentValueError) as caught:
        work(*args, **kwargs)
    text = str(caught.value)
    assert text.startswith("task 'work' (queue 'q'): ")
    assert said in text
    assert remedy in text


def test_they_are_builtin_errors_too() -> None:
    with pytest.raises(TypeError):
        work({1})
    with pytest.raises(ValueError, match="NaN"):
        work(float("nan"))


@pytest.mark.parametrize("argument", [{1}, float("nan"), 2**64])
def test_an_async_call_raises_at_the_call(argument: Any) -> None:
    async def main() -> None:
        with pytest.raises((ArgumentTypeError, ArgumentValueError), match="argument second"):
            _ = work_async(1, argument)

    asyncio.run(main())


def test_no_value_of_a_call_is_in_the_text() -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        work({"token": "geheim", "tokens": {"geheim"}})
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**64 - 1,
        -(2**63),
        1.5,
        "text",
        [1, (2, 3)],
        {"a": {}},
        OrderedDict(a=1),
        defaultdict(int, a=1),
        datetime.datetime(2026, 1, 2, tzinfo=zoneinfo.ZoneInfo("Europe/Zurich")),
        datetime.datetime(2026, 1, 2),
        datetime.date(2026, 1, 2),
        datetime.time(1, 2),
        uuid.UUID(int=1),
        Colour.RED,
        Text.A,
        Count(3),
        Name("text"),
        Line(1.5),
        Slotted([Line(None)]),
        nested(250),
    ],
)
def test_nothing_is_found_in_what_can_be_sent(value: Any) -> None:
    assert diagnose(inspect.signature(work), (value,), {"flag": value}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)
BAD = st.sampled_from([{1}, b"x", 2**64, float("nan"), decimal.Decimal(1), BadObject(), "\udfff"])


@given(JSON)
def test_json_has_no_finding(value: Any) -> None:
    assert diagnose(inspect.signature(work), (value,), {}) is None


@given(JSON, BAD, st.data())
def test_the_path_leads_to_what_was_planted(value: Any, bad: Any, data: st.DataObject) -> None:
    planted = plant(value, bad, data)
    finding = diagnose(inspect.signature(work), (1, planted), {})
    assert finding is not None
    path = finding.text.removeprefix("argument ").partition(" is ")[0]
    if '"' not in path:  # a key with odd characters is shown escaped and shortened
        assert eval(path, {"second": planted}) is bad
    assert finding.is_type == isinstance(bad, set | bytes | decimal.Decimal | BadObject)
