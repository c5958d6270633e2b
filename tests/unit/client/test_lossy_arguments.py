"""Arguments that JSON would change silently are refused, at the call or at the declaration."""

from __future__ import annotations

import datetime as dt
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntFlag
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
import typing_extensions
from fluxqueue import ArgumentTypeError, FluxQueue, Task

REFUSING_URL = "redis://127.0.0.1:1?timeout=0.1"
ID = UUID("019aa0c2-7b1f-7c3e-8d2a-0123456789ab")
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ODD = NOW.astimezone(dt.timezone(dt.timedelta(seconds=3723)))
# The second of the two times that a clock shows at the end of daylight saving time.
SECOND = dt.datetime(2026, 10, 25, 2, 30, fold=1)
BERLIN = ZoneInfo("Europe/Berlin")
MINUTES = NOW.astimezone(dt.timezone(dt.timedelta(minutes=-61)))

T = TypeVar("T")
Moment = TypeVar("Moment", bound=dt.datetime)
DayOrMoment = TypeVar("DayOrMoment", dt.date, dt.datetime)
Several = typing_extensions.TypeAliasType("Several", list[T], type_params=(T,))


class Login(pydantic.BaseModel):
    password: pydantic.SecretStr


class Account(pydantic.BaseModel):
    login: list[Login]


class WrittenLogin(Login):
    @pydantic.field_serializer("password", when_used="json")
    def write(self, value: pydantic.SecretStr) -> str:
        return value.get_secret_value()


class Payment(pydantic.BaseModel):
    amount: int = pydantic.Field(0, validation_alias="paid")


class Cached(pydantic.BaseModel):
    number: int
    cache: int = pydantic.Field(0, exclude=True)


class Cat(pydantic.BaseModel):
    name: str


class Dog(pydantic.BaseModel):
    name: str


class Puppy(Dog):
    age: int


@dataclass
class Order:
    number: int


@dataclass
class Express(Order):
    until: dt.datetime


class Point(msgspec.Struct):
    x: int


class Point3(Point):
    z: int


class Basket(pydantic.BaseModel):
    payment: Payment


@pydantic.dataclasses.dataclass
class Refund:
    amount: int = pydantic.Field(0, validation_alias="paid")


class Kennel(pydantic.BaseModel):
    dog: Dog


class Frozen(pydantic.BaseModel, frozen=True):
    name: str


class FrozenToo(pydantic.BaseModel, frozen=True):
    name: str


class Access(IntFlag):
    READ = 1


class Level(Enum):
    LOW = "low"


class Entry(pydantic.BaseModel):
    id: UUID | str = ""
    access: Access | int = 0
    level: Level | str = ""
    raw: str | bytes = ""
    some: list[int] | set[int] = []
    shop: Frozen | dict[str, str] = {}
    dates: dict[str, list[dt.date | str]] = {}


class Note(pydantic.BaseModel):
    id: UUID | str
    about: Any = None


class Parts(pydantic.BaseModel):
    id: UUID | str
    parts: Sequence[int] = ()


class Lazy(pydantic.BaseModel, use_enum_values=True):
    id: UUID | str
    level: Level = Level.LOW  # pydantic takes its value from a caller, but not from here


class Labelled(pydantic.BaseModel, Generic[T]):
    label: T


class Shelves(pydantic.BaseModel):
    notes: list[Note]
    about: Any = None


class Visit(pydantic.BaseModel):
    when: dt.datetime


@dataclass
class Sample:
    taken: dt.datetime
    about: Any = None


@dataclass
class Stock:
    counts: dict  # type: ignore[type-arg]


class Shelf(pydantic.BaseModel):
    counts: dict  # type: ignore[type-arg]


class Pair(NamedTuple):
    left: int


class PairToo(Pair):
    pass


class Huge(Enum):
    ONE = 2**70


class Bag(set[int]):
    pass


def declared(annotation: Any, default: Any = ...) -> Task[..., Any]:
    def work(value: Any) -> None: ...

    if default is not ...:
        work.__defaults__ = (default,)
    work.__annotations__["value"] = annotation
    return FluxQueue(REFUSING_URL).task()(work)


def carried(annotation: Any, value: Any) -> Any:
    conversion = declared(annotation).conversion()
    assert conversion is not None
    args, kwargs = conversion.encode((value,), {}, "it")
    return conversion.decode(list(args), kwargs)[0][0]


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (Login, Login(password="hunter2"), "can't be converted back"),  # type: ignore[arg-type]
        (Account, Account(login=[Login(password="x")]), "converted back"),  # type: ignore[arg-type]
        (Payment, Payment(paid=5), "its field 'amount' would not arrive"),  # type: ignore[call-arg]
        (Cat | Dog, Dog(name="Rex"), "class Dog, which would arrive as Cat"),
        (Dog, Puppy(name="Rex", age=1), "class Puppy, which would arrive as Dog"),
        (Order, Express(1, NOW), "class Express, which would arrive as Order"),
        (Point, Point3(1, 2), "class Point3, which would arrive as Point"),
        (Pair, PairToo(1), "class PairToo, which would arrive as Pair"),
        (
            list[Cat | Dog],
            [Cat(name="Tom"), Dog(name="Rex")],
            r"value at \[1\] is of the class Dog",
        ),
        (dict[str, Cat | Dog], {"hunter2": Dog(name="Rex")}, r"value at \[\.\.\.\] is of .* Dog"),
        (tuple[int, Cat | Dog], (1, Dog(name="Rex")), r"value at \[1\] is of the class Dog"),
        (set[Frozen | FrozenToo], {FrozenToo(name="a")}, "class FrozenToo, .* as Frozen;"),
        (list[list[Order]], [[], [Express(1, NOW)]], r"value at \[1\]\[0\] is of .* Express"),
        (Kennel, Kennel(dog=Puppy(name="Rex", age=1)), r"value at \.dog is of the class Puppy"),
        (Basket, Basket(payment=Payment(paid=5)), "its field 'payment.amount'"),  # type: ignore[call-arg]
        (list[Payment], [Payment(paid=5)], r"its field '\[0\].amount'"),  # type: ignore[call-arg]
        (Refund, Refund(paid=5), "its field 'amount'"),  # type: ignore[call-arg]
        (dt.datetime, ODD, "its value has an offset from UTC with seconds"),
        (dt.time, ODD.timetz(), "its value has an offset from UTC with seconds"),
        (list[dt.datetime], [NOW, ODD], r"its value at \[1\] has an offset from UTC"),
        (dict[dt.datetime, int], {ODD: 1}, r"its value at \[\.\.\.\] has an offset from UTC"),
        (Sample, Sample(NOW, [ODD]), r"its value at \.about\[0\] has an offset from UTC"),
        (Sample, Sample(ODD), r"its value at \.taken has an offset from UTC"),
        (Visit, Visit(when=ODD), r"its value at \.when has an offset from UTC"),
        (dt.time, dt.time(2, tzinfo=BERLIN), "its value has a time zone whose offset depends"),
        (
            Entry,
            Entry(id=str(ID)),
            r"at \.id is of the class str, .* arrive as UUID, because",
        ),
        (Entry, Entry(access=Access.READ), r"value at \.access is of the class Access, .* as int,"),
        (Entry, Entry(level=Level.LOW), r"value at \.level is of the class Level, .* as str,"),
        (Entry, Entry(raw=b"a"), r"value at \.raw is of the class bytes, .* as str,"),
        (Entry, Entry(some={1}), r"value at \.some is of the class set, .* as list,"),
        (Entry, Entry(shop={"name": "a"}), r"value at \.shop is of the class dict, .* as Frozen,"),
        (
            Entry,
            Entry(dates={"a": ["2026-01-01"]}),
            r"at \.dates\[\.\.\.\]\[0\] is of .* str",
        ),
        (
            Parts,
            Parts(id=str(ID)),
            r"value at \.id is of the class str, which would arrive as UUID",
        ),
        (
            Shelves,
            Shelves(notes=[Note(id=str(ID))]),
            r"value at \.notes\[0\]\.id is of the class str",
        ),
        (
            Labelled[UUID | str],
            Labelled[UUID | str](label=str(ID)),
            r"at \.label is of the class str",
        ),
        (dict[str, Note | UUID | str], {"a": str(ID)}, r"at \[\.\.\.\] is of the class str"),
        (Note, Note(id=str(ID)), r"value at \.id is of the class str, which would arrive as UUID"),
        (Sample, Sample(NOW, {1: 2}), r"its value at \.about has a key of type int, which would"),
        (Sample, Sample(NOW, [{"a": {1: 2}}]), r"at \.about\[0\]\[\.\.\.\] has a key of type int"),
        (Stock, Stock({1: 2}), r"its value at \.counts has a key of type int"),
        (Shelf, Shelf(counts={(1, 2): 3}), r"its value at \.counts has a key of type tuple"),
        (dict[int | str, Decimal], {1: Decimal(1)}, "its value has a key of type int"),
        (dict[int | str, int], {1: 1, "1": 2}, "its value has a key of type int"),
        (dict[Any, Decimal], {UUID(int=1): Decimal(1)}, "its value has a key of type UUID"),
        (dict[str, Decimal], {1: Decimal(1)}, "its value has a key of type int"),
        (tuple[dict, int], ({1: 2}, 3), r"its value at \[0\] has a key of type int"),  # type: ignore[type-arg]
        (tuple[Any, int], ({1: 2}, 3), r"its value at \[0\] has a key of type int"),
        (tuple[list, int], ([{1: 2}], 3), r"its value at \[0\]\[0\] has a key of type int"),  # type: ignore[type-arg]
    ],
)
def test_an_argument_that_would_lose_data_is_refused(
    annotation: Any, value: Any, text: str
) -> None:
    with pytest.raises(ArgumentTypeError, match=text) as caught:
        carried(annotation, value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (WrittenLogin, WrittenLogin(password="hunter2")),  # type: ignore[arg-type]
        (Cat | Dog, Cat(name="Tom")),
        (Dog | None, Dog(name="Rex")),
        (list[Cat | Dog], [Cat(name="Tom")]),
        (set[Frozen | FrozenToo], {Frozen(name="a"), Frozen(name="b")}),
        (Refund, Refund()),  # type: ignore[call-arg]
        (dt.datetime, MINUTES),
        (dt.time, MINUTES.timetz()),
        (Moment, NOW),
        (list[Moment], [NOW]),  # type: ignore[valid-type]
        (Entry, Entry(id=ID, access=3, level="x", raw="a", some=[1], shop=Frozen(name="a"))),
        (Entry, Entry(id="a", shop={"other": "a"}, dates={"a": [dt.date(2026, 1, 1), "soon"]})),
        (Note, Note(id=ID, about={"a": [1, "b", None]})),
        (Parts, Parts(id="a", parts=[1, 2])),
        (Shelves, Shelves(notes=[Note(id=ID)], about=[1])),
        (dict[int | str, Decimal], {"a": Decimal(1)}),
        (dict[float, Decimal], {1: Decimal(1)}),
        (dict[Access, Decimal], {Access.READ: Decimal(1)}),
        (dict[bytes, tuple[int]], {b"a": (1,)}),
        (dict[bool, Frozen], {True: Frozen(name="a")}),
        (Sample, Sample(NOW, {"a": [{"b": 1}]})),
    ],
)
def test_an_argument_arrives_as_it_was(annotation: Any, value: Any) -> None:
    found = carried(annotation, value)
    assert found == value
    assert type(found) is type(value)


def test_a_field_that_its_model_excludes_may_be_set() -> None:
    assert carried(Cached, Cached(number=1, cache=5)) == Cached(number=1, cache=0)


def test_a_datetime_of_a_zone_arrives_with_its_offset() -> None:
    found = carried(dt.datetime, SECOND.replace(tzinfo=BERLIN))
    assert (found.utcoffset(), found.replace(tzinfo=None)) == (dt.timedelta(hours=1), SECOND)


def test_a_datetime_without_an_offset_is_sent_in_the_hour_that_comes_twice() -> None:
    found = carried(dt.datetime, SECOND)
    assert (found, found.fold) == (SECOND, 0)


def test_a_model_may_have_fields_that_arrive_in_their_json_form_beside_a_union() -> None:
    assert carried(Note, Note(id=ID, about=(ID,))).about == [str(ID)]
    assert carried(Parts, Parts(id=ID, parts=(1, 2))).parts == [1, 2]
    assert carried(Lazy, Lazy(id=ID)).level == "low"


def test_a_field_of_any_type_has_the_json_form() -> None:
    found = carried(Sample, Sample(NOW, [Order(1)]))
    assert found.about == [{"number": 1}]


@pytest.mark.parametrize(
    "annotation",
    [
        *(dict[None, int], dict[int | None, int], dict[str | None, Dog], Mapping[None, Dog]),
        list[dict[None, dt.date]],
    ],
    ids=str,
)
@pytest.mark.parametrize("default", [..., None])
def test_a_mapping_with_a_key_of_none_is_refused(annotation: Any, default: Any) -> None:
    with pytest.raises(TypeError, match="the keys of JSON objects can't be None"):
        declared(annotation, default)


@pytest.mark.parametrize(
    "annotation",
    [
        dict[bool, int],
        dict[tuple[int, int], str],
        dict[frozenset[str], str],
        dict[Pair, int],
        dict[Order, int],
        dict[int | bool, int],
        list[Mapping[bool, dt.date]],
    ],
    ids=str,
)
def test_a_mapping_whose_keys_have_no_text_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match="the keys of JSON objects can't be "):
        declared(annotation)


@pytest.mark.parametrize(
    "annotation",
    [
        DayOrMoment,
        Huge,
        Counter[str],
        OrderedDict[str, int],
        defaultdict[str, int],
        deque[int],
        Bag,
    ],
    ids=str,
)
def test_an_annotation_without_a_conversion_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match="which a worker can't make from JSON"):
        declared(annotation)


def test_a_generic_alias_is_read_with_its_arguments() -> None:
    assert declared(Several[int]).conversion() is None
    # msgspec knows such aliases from Python 3.12 on.
    try:
        found = carried(Several[dt.datetime], [NOW])
    except TypeError as error:
        assert "which a worker can't make from JSON" in str(error)  # noqa: PT017
    else:
        assert found == [NOW]
