"""orjson and the codec by msgspec write and read the same, or refuse the same."""

from __future__ import annotations

import builtins
import collections
import dataclasses
import datetime
import decimal
import enum
import importlib.util
import json
import math
import random
import subprocess
import sys
import types
import uuid
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from fluxqueue_core import json_codec, msgspec_json

CODECS: list[Any] = [msgspec_json]
if importlib.util.find_spec("orjson") is not None:
    import orjson

    CODECS.append(orjson)
codecs = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.__name__)


class Text(str): ...


class Number(int): ...


class Fraction(float): ...


class Object(dict[str, int]):
    def items(self) -> Any:
        raise AssertionError("the codec reads what is stored")


class Array(list[int]): ...


class Pair(NamedTuple):
    first: int = 1


class Kind(enum.Enum):
    TEXT = "a"
    PAIR = (1, 2)
    NAN = math.nan


class Choice(enum.StrEnum):
    ONE = "one"


class Flags(enum.IntFlag):
    A = 1
    B = 2


class OtherMeta(enum.EnumMeta): ...


class OtherEnum(enum.Enum, metaclass=OtherMeta):
    ONE = 1


@dataclasses.dataclass
class Order:
    number: int = 1
    inner: Any = None
    _hidden: int = 2


@dataclasses.dataclass(slots=True)
class Slotted:
    number: int = 1
    _hidden: int = 2


class Undecorated(Order): ...


class Id(uuid.UUID): ...


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def with_attribute() -> Order:
    order = Order()
    order.added = 3  # type: ignore[attr-defined]
    return order


MOMENT = datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
UTC = datetime.UTC


def zone(**offset: int) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(**offset))


# A value, and its JSON or the error.
WRITTEN: list[tuple[Any, bytes | type[Exception]]] = [
    (None, b"null"),
    (True, b"true"),
    (2**64 - 1, b"18446744073709551615"),
    (-(2**63), b"-9223372036854775808"),
    (2**64, TypeError),
    (-(2**63) - 1, TypeError),
    (Number(5), b"5"),
    (Number(2**70), TypeError),
    (Flags.A | Flags.B, b"3"),
    (1.0, b"1.0"),
    (-0.0, b"-0.0"),
    (0.1, b"0.1"),
    (1e15, b"1000000000000000.0"),
    (1e16, b"1e+16"),
    (1.2345678901234568e17, b"1.2345678901234568e+17"),
    (-1e300, b"-1e+300"),
    (1.5e-5, b"0.000015"),
    (1e-7, b"1e-7"),
    (5e-324, b"5e-324"),
    # The callers refuse these three.
    (math.nan, b"null"),
    (math.inf, b"null"),
    (-math.inf, b"null"),
    (Fraction(1.5), TypeError),
    (
        'é\u2028\x7f"\\/\x00\x1f\b\f\n\r\t😀',
        '"é\u2028\x7f\\"\\\\/\\u0000\\u001f\\b\\f\\n\\r\\t😀"'.encode(),
    ),
    ("\ud800", TypeError),
    (Text("a"), b'"a"'),
    (Text("\ud800"), TypeError),
    (Choice.ONE, b'"one"'),
    (Kind.TEXT, b'"a"'),
    (Kind.PAIR, b"[1,2]"),
    (Kind.NAN, b"null"),
    (OtherEnum.ONE, TypeError),
    ([1, (2,), Array([3])], b"[1,[2],[3]]"),
    (Pair(), TypeError),
    ({"b": 1, "a": 2}, b'{"b":1,"a":2}'),
    (Object(a=1), b'{"a":1}'),
    (collections.OrderedDict(a=1), b'{"a":1}'),
    ({1: 2}, TypeError),
    ({None: 2}, TypeError),
    ({Text("a"): 1}, TypeError),
    ({Choice.ONE: 1}, TypeError),
    ({uuid.UUID(int=5): 1}, TypeError),
    ({"\ud800": 1}, TypeError),
    (types.MappingProxyType({"a": 1}), TypeError),
    (collections.deque([1]), TypeError),
    ({1}, TypeError),
    (frozenset([1]), TypeError),
    (b"a", TypeError),
    (bytearray(b"a"), TypeError),
    (memoryview(b"a"), TypeError),
    (decimal.Decimal("1.5"), TypeError),
    (datetime.timedelta(1), TypeError),
    (1j, TypeError),
    (object(), TypeError),
    (print, TypeError),
    (Order, TypeError),
    (Order(), b'{"number":1,"inner":null}'),
    (Order(inner=[Order()]), b'{"number":1,"inner":[{"number":1,"inner":null}]}'),
    (with_attribute(), b'{"number":1,"inner":null,"added":3}'),
    (Slotted(), b'{"number":1}'),
    (Undecorated(), TypeError),
    (MOMENT, b'"2020-01-02T03:04:05.000006"'),
    (MOMENT.replace(microsecond=0), b'"2020-01-02T03:04:05"'),
    (MOMENT.replace(year=1), b'"0001-01-02T03:04:05.000006"'),
    (MOMENT.replace(tzinfo=UTC), b'"2020-01-02T03:04:05.000006+00:00"'),
    (MOMENT.replace(tzinfo=zone(hours=5, minutes=30)), b'"2020-01-02T03:04:05.000006+05:30"'),
    (MOMENT.replace(tzinfo=zone(hours=-5, seconds=-31)), b'"2020-01-02T03:04:05.000006-05:01"'),
    (MOMENT.replace(tzinfo=ZoneInfo("Europe/Berlin")), b'"2020-01-02T03:04:05.000006+01:00"'),
    (datetime.date(2020, 1, 2), b'"2020-01-02"'),
    (datetime.time(1, 2, 3), b'"01:02:03"'),
    (datetime.time(1, 2, 3, 4), b'"01:02:03.000004"'),
    (datetime.time(1, 2, tzinfo=UTC), TypeError),
    (uuid.UUID(int=5), b'"00000000-0000-0000-0000-000000000005"'),
    (Id(int=5), TypeError),
    (
        [{"a": 1e16, "b": [Kind.TEXT, Order()]}],
        b'[{"a":1e+16,"b":["a",{"number":1,"inner":null}]}]',
    ),
    (nested(254), b"[" * 254 + b"1" + b"]" * 254),
    (nested(255), TypeError),
    (nested(1000), TypeError),
]
if frozendict := getattr(builtins, "frozendict", None):
    WRITTEN += [(frozendict(a=[1]), b'{"a":[1]}'), (frozendict({1: 2}), TypeError)]

# JSON, and its value or the error.
READ: list[tuple[Any, Any]] = [
    (b" [1, 2] ", [1, 2]),
    ('{"a": "é"}', {"a": "é"}),
    (bytearray(b"1"), 1),
    (memoryview(b"1"), 1),
    (b'{"a":1,"a":2}', {"a": 2}),
    (b"1.0", 1.0),
    (b"1E5", 100000.0),
    (b"-0.0", -0.0),
    (b"1e-400", 0.0),
    (b"1e400", ValueError),
    (b"18446744073709551615", 2**64 - 1),
    (b"18446744073709551616", 2.0**64),
    (b"-9223372036854775808", -(2**63)),
    (b'{"a":[-9223372036854775809]}', {"a": [-(2.0**63)]}),
    (b"1" * 400, ValueError),
    (b'"12345678901234567890"', "12345678901234567890"),
    (b'"\\ud83d\\ude00"', "😀"),
    (b'"\\ud800"', ValueError),
    (b'"\xff"', ValueError),
    (b'"\xed\xa0\x80"', ValueError),
    ('"\ud800"', ValueError),
    (b'"a\x01"', ValueError),
    (b'"\\x"', ValueError),
    (b"\xef\xbb\xbf1", ValueError),
    (b"", ValueError),
    (b"[1,]", ValueError),
    (b"[1 2]", ValueError),
    (b"1 2", ValueError),
    (b"01", ValueError),
    (b"1.", ValueError),
    (b".5", ValueError),
    (b"NaN", ValueError),
    (b"Infinity", ValueError),
    (b"{1:2}", ValueError),
    (b"'a'", ValueError),
    (b"1\x00", ValueError),
    (b"[" * 1025 + b"]" * 1025, ValueError),
    (b'{"a":' * 1025 + b"1" + b"}" * 1025, ValueError),
    (b"[" * 100_000, ValueError),
    (5, ValueError),
    (None, ValueError),
]


@codecs
@pytest.mark.parametrize(("value", "expected"), WRITTEN, ids=range(len(WRITTEN)))
def test_a_value_has_one_form(codec: Any, value: Any, expected: bytes | type[Exception]) -> None:
    if isinstance(expected, bytes):
        assert codec.dumps(value) == expected
    else:
        with pytest.raises(expected) as caught:
            codec.dumps(value)
        assert issubclass(caught.type, codec.JSONEncodeError)


@codecs
@pytest.mark.parametrize(("text", "expected"), READ, ids=range(len(READ)))
def test_a_text_has_one_meaning(codec: Any, text: Any, expected: Any) -> None:
    if expected is ValueError:
        with pytest.raises(codec.JSONDecodeError) as caught:
            codec.loads(text)
        assert issubclass(caught.type, json.JSONDecodeError)
    else:
        found = codec.loads(text)
        assert (repr(found), type(found)) == (repr(expected), type(expected))


@codecs
def test_arrays_in_arrays_are_read_up_to_one_depth(codec: Any) -> None:
    if codec is msgspec_json and sys.version_info < (3, 12):
        pytest.skip("there sys.getrecursionlimit() counts for C, too")
    value, levels = codec.loads(b"[" * 1024 + b"]" * 1024), 0
    while value is not None:
        value, levels = next(iter(value), None), levels + 1
    assert levels == 1024


@codecs
def test_the_options_do_the_same(codec: Any) -> None:
    value = {"b": MOMENT.replace(tzinfo=UTC), "a": {"d": 1, "c": 2}}
    options = codec.OPT_SORT_KEYS | codec.OPT_UTC_Z | codec.OPT_APPEND_NEWLINE
    expected = b'{"a":{"c":2,"d":1},"b":"2020-01-02T03:04:05.000006Z"}\n'
    assert codec.dumps(value, option=options) == expected
    dataclass = codec.OPT_PASSTHROUGH_DATACLASS
    assert codec.dumps(Order(), lambda value: "passed", dataclass) == b'"passed"'
    with pytest.raises(codec.JSONEncodeError):
        codec.dumps(Order(), option=dataclass)


@codecs
def test_a_hook_makes_the_values_that_the_codec_refuses(codec: Any) -> None:
    assert codec.dumps([{2, 1}, {"a": {3}}], sorted) == b'[[1,2],{"a":[3]}]'
    assert codec.dumps({1j: 1} and [1j], repr) == b'["1j"]'
    with pytest.raises(codec.JSONEncodeError) as caught:
        codec.dumps([object()], iter)
    assert isinstance(caught.value.__cause__, TypeError)
    with pytest.raises(codec.JSONEncodeError, match="recursion limit"):
        codec.dumps(object(), lambda value: value)


@pytest.mark.skipif(len(CODECS) == 1, reason="there is no orjson here")
def test_both_write_any_float_alike() -> None:
    numbers = random.Random(1)
    for exponent in range(-320, 308):
        for _ in range(9):
            value = numbers.uniform(-10, 10) * 10.0**exponent
            assert msgspec_json.dumps(value) == orjson.dumps(value)


WITHOUT_ORJSON = """
import sys
sys.modules["orjson"] = None
import fluxqueue
from fluxqueue_core import json_codec
assert json_codec.dumps is sys.modules["fluxqueue_core.msgspec_json"].dumps
"""


def test_msgspec_is_used_if_there_is_no_orjson() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_ORJSON], check=True)


@pytest.mark.skipif(len(CODECS) == 1, reason="there is no orjson here")
def test_orjson_itself_is_used_with_a_gil() -> None:
    assert json_codec.dumps is orjson.dumps
    assert json_codec.loads is orjson.loads
