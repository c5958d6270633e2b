"""The annotations of a task's parameters: what is converted, what stays plain, and what is
refused where the task is declared."""

from __future__ import annotations

import asyncio
import collections.abc as abc
import datetime as dt
import numbers
import pathlib
import subprocess
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    TypedDict,
    TypeVar,
    Unpack,
)
from uuid import UUID

import msgspec
import pydantic
import pytest
from fluxqueue import ArgumentTypeError, Context, FluxQueue, Task
from fluxqueue.conversion import ConversionError

REFUSING_URL = "redis://127.0.0.1:1?timeout=0.1"

T = TypeVar("T")
OrderId = NewType("OrderId", int)
Token = NewType("Token", UUID)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


class Right(Flag):
    READ = 1
    WRITE = 2


class Mixed(Enum):
    TEXT = "a"
    PAIR = (1, 2)


class Email(str):
    pass


class Row(TypedDict):
    name: str
    tags: list[str]


class DatedRow(TypedDict):
    when: dt.datetime


class Pair(NamedTuple):
    left: int
    when: dt.date


@dataclass
class Line:
    product: int
    price: Decimal = Decimal("1.10")
    next: Line | None = None
    _hidden: int = 0


@dataclass
class Strict:
    number: int


class Struct(msgspec.Struct):
    number: int


class Order(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    when: dt.datetime
    total: Decimal = Decimal(2)
    number: int = pydantic.Field(0, alias="orderNumber")
    tags: set[str] = set()


@pydantic.dataclasses.dataclass
class Customer:
    id: UUID


class Client:
    pass


class Reader(typing.Protocol):
    def read(self) -> bytes: ...


class Named(typing.Protocol):
    name: str


@typing.runtime_checkable
class Checked(typing.Protocol):
    def read(self) -> bytes: ...


class Both(typing.Sized, Reader, typing.Protocol): ...


class Upper(typing.Protocol):
    def upper(self) -> str: ...


class Keyed(Upper, typing.Protocol):
    def __hash__(self) -> int: ...


class Broken(type):
    def __subclasscheck__(cls, other: type) -> bool:
        raise RuntimeError("a broken metaclass")


class Strange(metaclass=Broken):
    pass


class Chosen(typing.Generic[T]):
    pass


def declare(annotation: Any, default: Any = ...) -> Any:
    """Declares a task with one parameter of this annotation."""

    def work(value: Any) -> None: ...

    if default is not ...:
        work.__defaults__ = (default,)
    work.__annotations__["value"] = annotation
    return FluxQueue(REFUSING_URL).task()(work)


PLAIN = [
    *(str, int, float, bool, None, list, dict, object, Any, OrderId, Row),
    *(list[int], dict[str, Any], dict[str, list[float]], typing.Dict[str, int], typing.List),  # noqa: UP006
    *(abc.Sequence[str], abc.Mapping[str, int], abc.Iterable[int], abc.Hashable, abc.Sized),
    *(int | None, float | str | list[dict[str, int]], typing.Optional[str]),  # noqa: UP045
    *(Literal["a", 1, None], Annotated[int, "positive"], numbers.Number, typing.SupportsInt),
    *(typing.LiteralString, typing.SupportsIndex, Upper, Keyed, Upper | int),
    *(Strange, "T", "list[T]", "int", "list[Row]", "abc.Sequence[int]"),
]


@pytest.mark.parametrize("annotation", PLAIN, ids=str)
def test_a_task_with_plain_parameters_is_a_plain_task(annotation: Any) -> None:
    task = declare(annotation)
    assert type(task) is Task
    assert task.conversion() is None


def test_plain_tasks_do_not_load_the_library() -> None:
    code = (
        "import sys, fluxqueue\n"
        "@fluxqueue.FluxQueue().task()\n"
        "def work(a: int, b: list[str] | None = None, *c: dict[str, object]) -> None: ...\n"
        "assert work.conversion() is None\n"
        "print('msgspec' in sys.modules, 'fluxqueue.converters' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


UTC = dt.datetime(2026, 11, 30, 12, 0, 0, 5, tzinfo=dt.UTC)
ID = UUID("01a229ce-5f85-79b1-bdb9-aa602614c724")
CONVERTED = [
    (dt.datetime, UTC),
    (dt.datetime, dt.datetime(2026, 1, 1)),
    (dt.datetime, UTC.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))),
    (dt.date, dt.date(2026, 11, 30)),
    (dt.time, dt.time(12, 30, 0, 1)),
    (dt.time, dt.time(12, 30, tzinfo=dt.UTC)),
    (dt.timedelta, dt.timedelta(days=-1, microseconds=3)),
    (UUID, ID),
    (Decimal, Decimal("10.10")),
    (Colour, Colour.RED),
    (Level, Level.LOW),
    (Right, Right.READ | Right.WRITE),
    (Line, Line(1, Decimal("2.50"), Line(2), 7)),
    (Struct, Struct(5)),
    (Pair, Pair(1, dt.date(2026, 1, 1))),
    (DatedRow, {"when": UTC}),
    (Token, Token(ID)),
    (Email, Email("a@example.com")),
    (pathlib.Path, pathlib.Path("/tmp/a")),
    (bytes, b"\x00\xff"),
    (tuple[int, str], (1, "a")),
    (tuple[dt.date, ...], (dt.date(2026, 1, 1),)),
    (set[int], {1, 2}),
    (frozenset[str], frozenset("a")),
    (dt.datetime | None, None),
    (typing.Optional[UUID], ID),  # noqa: UP045
    (list[Decimal], [Decimal(1), Decimal("1.5")]),
    (dict[str, Colour], {"a": Colour.BLUE}),
    (dict[int, str], {1: "a"}),
    (dict[UUID, list[Line]], {ID: [Line(1)]}),
    (abc.Sequence[dt.date], [dt.date(2026, 1, 1)]),
    (Annotated[dt.datetime, "when it was made"], UTC),
    (Line | None, Line(1)),
    (int | dt.datetime, 5),
    ("dt.datetime", UTC),
    ("list[Line] | None", [Line(1)]),
    (Order, Order(when=UTC, orderNumber=5, tags={"a"})),
    (list[Order], [Order(when=UTC, orderNumber=0)]),
    (Order | None, None),
    (dict[str, Customer], {"a": Customer(ID)}),
]


@pytest.mark.parametrize(("annotation", "value"), CONVERTED, ids=str)
def test_a_value_arrives_as_the_type_that_annotates_it(annotation: Any, value: Any) -> None:
    conversion = declare(annotation).conversion()
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((value,), {}), ((), {"value": value})]
    for call in calls:
        encoded = conversion.encode(*call, "it")
        # The message has the same form.
        args, kwargs = msgspec.json.decode(msgspec.json.encode(encoded))
        decoded, named = conversion.decode(args, kwargs)
        arrived = decoded[0] if decoded else named["value"]
        assert arrived == value
        assert type(arrived) is type(value)


FOREIGN = [
    *(Client, list[Client], Client | None, Callable[[], int], type[int], complex, Chosen[int]),
    *(Reader, Named, Checked, Both, list[Named], Reader | None, typing.IO[str]),
]
SELF: Any = typing.Self
WITHOUT_VALUE = [typing.Never, typing.NoReturn, list[typing.Never], SELF, list[SELF]]


@pytest.mark.parametrize("annotation", [*FOREIGN, *WITHOUT_VALUE], ids=str)
def test_a_class_that_json_has_no_form_of_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r"'value' of .*work\(\) is annotated .*pass an id"):
        declare(annotation)


@pytest.mark.parametrize("annotation", FOREIGN, ids=str)
def test_a_class_without_a_json_form_is_accepted_if_callers_may_omit_it(annotation: Any) -> None:
    assert type(declare(annotation, default=None)) is Task


@pytest.mark.parametrize(
    "annotation", [dt.datetime | str, Line | dict[str, int], Mixed, Literal[Colour.RED]], ids=str
)
@pytest.mark.parametrize("default", [..., None])
def test_a_type_whose_value_could_arrive_as_another_is_refused(
    annotation: Any, default: Any
) -> None:
    with pytest.raises(TypeError, match=r"which a worker can't make from JSON"):
        declare(annotation, default)


WRONG = [
    (dt.datetime, {1}, "annotated datetime.datetime, and its value is a set"),
    (dt.datetime, "a secret", "value is a str"),
    (Colour, "a secret", "value is a str"),
    (Line, {"product": "a secret"}, r"value is a dict, and does not fit at \.product"),
    (list[UUID], [ID, "a secret"], r"value is a list, and does not fit at \[1\]"),
    (Order, {"when": "a secret"}, "value is a dict"),
    (bytes, Client(), "value is a Client"),
    (Strict, Strict.__new__(Strict), "value is a Strict, whose JSON form can't be converted back"),
    (
        Line,
        Line(typing.cast("int", "a secret")),
        r"be converted back, and does not fit at \.product",
    ),
    (Order, Order.model_construct(when="a secret"), "and does not fit at the field when"),
]


@pytest.mark.parametrize(("annotation", "value", "text"), WRONG)
def test_a_value_that_does_not_fit_is_an_error_of_the_call(
    annotation: Any, value: Any, text: str
) -> None:
    task = declare(annotation)

    async def main() -> None:
        await task.enqueue_many_async([{"value": value}])

    for call in (
        lambda: task(value),
        lambda: task.enqueue(value=value),
        lambda: task.enqueue_async(value),
        lambda: task.enqueue_many([(value,)]),
        lambda: asyncio.run(main()),
    ):
        with pytest.raises(ArgumentTypeError, match=f"'work'.*argument value is .*{text}") as found:
            call()
        assert "secret" not in str(found.value)
        assert "nothing of this call was enqueued" in str(found.value)


@pytest.mark.parametrize(("annotation", "value", "text"), WRONG[1:4])
def test_a_message_that_does_not_fit_is_an_error_without_the_value(
    annotation: Any, value: Any, text: str
) -> None:
    conversion = declare(annotation).conversion()
    sent = msgspec.to_builtins(value)
    with pytest.raises(ConversionError, match=f"^argument value is annotated .*{text}$") as found:
        conversion.decode([], {"value": sent})
    assert "secret" not in str(found.value)


class Basket(pydantic.BaseModel):
    orders: dict[str, Order | int] = {}
    first: Order | None = pydantic.Field(None, validation_alias=pydantic.AliasPath("all", 0))


@pytest.mark.parametrize(
    ("annotation", "sent", "place"),
    [
        (Order, {}, ".when"),
        (Order, {"when": "2026-01-01T00:00:00Z", "orderNumber": "a secret"}, ".orderNumber"),
        (list[Order], [{"when": "a secret"}], "[0].when"),
        (Basket, {"orders": {"a secret": {"when": 1}}}, ".orders[...].when"),
        (Basket, {"orders": {"a secret": "a secret"}}, ".orders"),
        (Basket, {"all": [{"when": "a secret"}]}, "[...][0].when"),
    ],
)
def test_a_misfit_of_a_model_has_its_place_without_the_value(
    annotation: Any, sent: Any, place: str
) -> None:
    conversion = declare(annotation).conversion()
    with pytest.raises(ConversionError) as found:
        conversion.decode([sent], {})
    assert str(found.value).endswith(f", and does not fit at {place}")
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("annotation", [typing.Never, typing.NoReturn], ids=str)
def test_a_task_that_always_raises_may_keep_its_outcome(annotation: Any) -> None:
    def work() -> None: ...

    work.__annotations__["return"] = annotation
    assert type(FluxQueue(REFUSING_URL).task(result_ttl=60)(work)) is Task


def test_every_kind_of_parameter_is_converted() -> None:
    @FluxQueue(REFUSING_URL).task()
    def work(
        a: dt.date, /, b: dt.date, plain: str = "", *more: dt.date, c: dt.date, **rest: dt.date
    ) -> None: ...

    conversion = work.conversion()
    assert conversion is not None
    day, text = dt.date(2026, 1, 1), "2026-01-01"
    args, kwargs = (day, day, "2026-01-01", day), {"c": day, "a": day, "d": day}
    encoded = conversion.encode(args, kwargs, "it")
    assert encoded == ((text,) * 4, dict.fromkeys("cad", text))
    assert conversion.decode(*encoded) == (list(args), kwargs)


class Options(TypedDict, total=False):
    when: dt.date
    plain: int


def test_keywords_of_a_typed_dict_are_converted() -> None:
    @FluxQueue(REFUSING_URL).task()
    def work(**options: Unpack[Options]) -> None: ...

    conversion = work.conversion()
    assert conversion is not None
    kwargs = {"when": dt.date(2026, 1, 1), "plain": 5}
    assert conversion.encode((), kwargs, "it")[1] == {"when": "2026-01-01", "plain": 5}
    assert conversion.decode([], {"when": "2026-01-01", "plain": 5})[1] == kwargs


def test_a_context_is_not_an_argument() -> None:
    @FluxQueue(REFUSING_URL).task_with_context()
    def work(ctx: Context, when: dt.date) -> None: ...

    conversion = work.conversion()
    assert conversion is not None
    assert conversion.decode(["2026-01-01"], {})[0] == [dt.date(2026, 1, 1)]
