"""The options of unique tasks: their checks, the keys of calls, and what callers of other tasks
pay for them."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, get_args
from uuid import UUID

import pytest
from fluxqueue import (
    ArgumentTypeError,
    ArgumentValueError,
    AsyncTask,
    ConfigurationError,
    FluxQueue,
    Task,
)
from fluxqueue.arguments_by_name import bound
from fluxqueue.keyed_task import KeyedAsyncTask, KeyedTask, KeyedTypedTask
from fluxqueue.lock_rule import LockRule, lock_rule
from fluxqueue.options import Terms
from fluxqueue.unique import OnConflict, UniqueUntil, route_lock

app = FluxQueue("redis://127.0.0.1:1")


def declare(**options: Any) -> Any:
    def work(a: int, b: int = 2) -> None: ...

    return FluxQueue("redis://127.0.0.1:1").task(**options)(work)


async def key(order: int) -> int:
    return order


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"unique": "a"}, TypeError, "unique must be True, a tuple of names"),
        ({"unique": ["a"]}, TypeError, "unique must be True, a tuple of names"),
        ({"unique": key}, TypeError, "must be a plain function"),
        ({"unique": ()}, ConfigurationError, "name one parameter or more"),
        ({"unique": (1,)}, ConfigurationError, "name one parameter or more"),
        (
            {"unique": ("c",)},
            ConfigurationError,
            "names 'c', which is not a parameter; it has a, b",
        ),
        ({"unique": True, "unique_until": "end"}, ConfigurationError, "give one of done, start"),
        ({"unique": True, "unique_until": 1}, TypeError, "unique_until must be a str"),
        ({"unique": True, "unique_ttl": 0}, ConfigurationError, r"unique_ttl is 0; .*\(a year\)$"),
        (
            {"unique": True, "unique_ttl": None},
            TypeError,
            "unique_ttl must be a number of seconds, not NoneType",
        ),
        ({"unique": True, "on_conflict": "no"}, ConfigurationError, "skip, raise, replace"),
        ({"unique_until": "start"}, ConfigurationError, "says nothing without unique"),
        ({"unique": False, "on_conflict": "raise"}, ConfigurationError, "nothing without unique"),
        ({"debounce": 5}, ConfigurationError, "has no max_wait"),
        ({"max_wait": 5}, ConfigurationError, "says nothing without debounce"),
        ({"debounce": 5, "max_wait": 4}, ConfigurationError, "max_wait is 4 s, below debounce"),
        ({"debounce": 0, "max_wait": 4}, ConfigurationError, "debounce is 0; give seconds"),
        ({"debounce": 5, "max_wait": 9, "throttle": 1}, ConfigurationError, "no effect with"),
        ({"debounce": 5, "max_wait": 9, "on_conflict": "skip"}, ConfigurationError, "no effect"),
        ({"throttle": 5, "unique_until": "done"}, ConfigurationError, "no effect with throttle"),
        ({"throttle": 5, "on_conflict": "replace"}, ConfigurationError, "with throttle"),
        ({"throttle": 5, "unique": False}, ConfigurationError, "needs calls that are the same"),
        ({"throttle": "5"}, TypeError, "throttle must be a number of seconds"),
    ],
)
def test_a_wrong_declaration_is_an_error(
    options: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        declare(**options)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"unique": ("c",)}, ConfigurationError, "names 'c'"),
        ({"unique": 1}, TypeError, "unique must be True"),
        ({"on_conflict": "raise"}, ConfigurationError, "says nothing without unique"),
        ({"on_conflict": 1}, TypeError, "on_conflict must be a str"),
        ({"throttle": 5}, TypeError, "no option 'throttle'"),
    ],
)
def test_a_wrong_option_of_a_call_is_an_error(
    options: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        declare().options(**options)


def test_the_words_of_the_types_are_those_of_the_checks() -> None:
    for word in get_args(UniqueUntil):
        declare(unique=True, unique_until=word)
    for word in get_args(OnConflict):
        declare(unique=True, on_conflict=word)


def test_a_route_learns_the_lock_of_its_calls() -> None:
    def lock(**options: Any) -> Any:
        return route_lock(declare(**options).terms)

    assert lock() is None and lock(unique=False) is None
    assert lock(unique=True) == ("skip", 86_400_000, False, 0)
    assert lock(unique=True, on_conflict="raise") == ("skip", 86_400_000, False, 0)
    assert lock(unique=("a",), unique_until="start", unique_ttl=0.5) == ("skip", 500, True, 0)
    assert lock(unique=True, on_conflict="replace") == ("replace", 86_400_000, False, 0)
    assert lock(throttle=60) == ("throttle", 60_000, False, 0)
    assert lock(debounce=5, max_wait=60) == ("debounce", 86_400_000, False, 60_000)
    assert declare(debounce=5, max_wait=60).terms.sent()["delay"] == 5_000


def test_only_unique_tasks_have_their_class() -> None:
    plain = declare()
    assert type(plain) is Task and type(declare(unique=True)) is KeyedTask
    assert "lock" not in plain.terms.sent() and plain.options(priority=1)._rules is None

    @app.task(unique=True)
    async def coroutine(a: int) -> None: ...

    @app.task(unique=True)
    def typed(a: UUID | None = None) -> None: ...

    assert type(coroutine) is KeyedAsyncTask and isinstance(coroutine, AsyncTask)
    assert type(typed) is KeyedTypedTask and isinstance(typed, Task)
    assert inspect.iscoroutinefunction(coroutine) or hasattr(coroutine, "_is_coroutine")


def test_a_producer_without_the_code_declares_a_unique_task() -> None:
    def signature(a: int) -> None: ...

    assert app.declare("one", signature=signature, unique=("a",)).terms.unique == ("a",)
    with pytest.raises(ConfigurationError, match="names 'b'"):
        app.declare("one", signature=signature, unique=("b",))
    # Without a signature, an argument that is passed by position has no name.
    with pytest.raises(ConfigurationError, match="by signature="):
        app.declare("one", unique=("b",))
    assert app.declare("one", unique=True).terms.unique is True


def rule(function: Any, unique: Any = True) -> LockRule:
    task = FluxQueue("redis://127.0.0.1:1").task(unique=unique)(function)
    found = lock_rule(task, {})
    assert found is not None
    return found


def test_arguments_are_bound_to_their_parameters() -> None:
    def work(
        a: int, /, b: int = 2, *c: int, d: object = None, e: object = key, **f: int
    ) -> None: ...

    signature = inspect.signature(work)
    expected = {"a": 1, "b": 2, "c": [], "d": None, "e": {"default": "e"}, "f": {}}
    assert bound(signature, (1,), {}, {}) == expected
    assert bound(signature, (1,), {}, {"e": "f"}) == {**expected, "e": "f"}
    assert bound(signature, (1, 3, 4), {"d": 5, "g": 6}, {}) == {
        **expected,
        "b": 3,
        "c": (4,),
        "d": 5,
        "f": {"g": 6},
    }


def test_a_digest_depends_on_the_task_and_the_key_alone() -> None:
    def work(a: Any) -> None: ...

    def other(a: Any) -> None: ...

    one, two = rule(work), rule(other)

    def digest(of: LockRule, *args: Any) -> str:
        return of.of_key(of.key(args, {}), has_chosen_id=False)[0]

    assert digest(one, {"x": 1, "y": [2]}) == digest(one, {"y": [2], "x": 1})
    others = {digest(one, value) for value in (1, 1.0, True, "1", [1], None)}
    assert len({*others, digest(two, 1)}) == 7
    # It must never change: other processes, and other releases, have it too.
    assert digest(one, 1) == "2413100f9187912508d3fc3b2dcee6a3"


class Colour(Enum):
    RED = "red"
    NONE = math.nan


class Size(Enum):
    SMALL = 1


@dataclass
class Point:
    x: int = 1
    y: float = 2.0


def made_in_another_order() -> Point:
    point = Point.__new__(Point)
    point.y, point.x = 2.0, 1
    return point


# Values that a function `unique` returns, and their keys as JSON.
KEYS: list[tuple[Any, str]] = [
    (0, "0"),
    (0.0, "0.0"),
    (-0.0, "-0.0"),
    (False, "false"),
    (1, "1"),
    (1.0, "1.0"),
    (True, "true"),
    ("1", '"1"'),
    (2**64 - 1, "18446744073709551615"),
    (-(2**63), "-9223372036854775808"),
    ((1, None), "[1,null]"),
    ([1, None], "[1,null]"),
    ({"b": 1, "a": {"d": 2, "c": 3}}, '{"a":{"c":3,"d":2},"b":1}'),
    (Colour.RED, '"red"'),
    (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    (Point(), '{"x":1,"y":2.0}'),
    ([made_in_another_order()], '[{"x":1,"y":2.0}]'),
]

# Values that it may not return, and the errors.
NO_KEYS: list[tuple[Any, type[Exception], str]] = [
    (None, TypeError, "returned None for a call"),
    (math.nan, ArgumentValueError, "the function unique returned a NaN or an infinity"),
    (math.inf, ArgumentValueError, "a NaN or an infinity"),
    ([{"a": -math.inf}], ArgumentValueError, "a NaN or an infinity"),
    (Point(y=math.nan), ArgumentValueError, "a NaN or an infinity"),
    (Colour.NONE, ArgumentValueError, "a NaN or an infinity"),
    (2**64, ArgumentTypeError, "a key of type int .*64-bit"),
    (-(2**63) - 1, ArgumentTypeError, "a key of type int .*64-bit"),
    ({1: 2}, ArgumentTypeError, "a key of type dict .*must be str"),
    ({Colour.RED: 2}, ArgumentTypeError, "a key of type dict .*must be str"),
    ({1}, ArgumentTypeError, "a key of type set"),
    (frozenset(), ArgumentTypeError, "a key of type frozenset"),
    (b"a", ArgumentTypeError, "a key of type bytes"),
    (1j, ArgumentTypeError, "a key of type complex"),
    (Decimal(1), ArgumentTypeError, "a key of type Decimal"),
    (object(), ArgumentTypeError, "a key of type object"),
    (Point, ArgumentTypeError, "a key of type type"),
    ("\ud800", ArgumentTypeError, "a key of type str .*surrogates"),
]


@pytest.mark.parametrize(("value", "text"), KEYS)
def test_a_value_that_json_carries_is_a_key(value: Any, text: str) -> None:
    def work(a: Any) -> None: ...

    of = rule(work, lambda a: a)
    assert of.of_key(of.key((value,), {}), has_chosen_id=False)[1] == f"work {text}"


@pytest.mark.parametrize(("value", "kind", "said"), NO_KEYS)
def test_another_key_is_an_error_at_the_call(value: Any, kind: type[Exception], said: str) -> None:
    def work(a: int) -> None: ...

    task = FluxQueue("redis://127.0.0.1:1").task(unique=lambda a: value)(work)
    with pytest.raises(kind, match=said):
        task.enqueue(1)
    with pytest.raises(kind, match=said):
        task.enqueue_many([(1,)])


def test_a_default_that_json_can_not_carry_is_the_same_in_all_calls() -> None:
    def work(a: float = math.nan, b: int = 2**64, c: float = 0.5) -> None: ...

    of = rule(work)
    _, text, _ = of.of_key(of.key((), {}), has_chosen_id=False)
    assert text == 'work {"a":{"default":"a"},"b":{"default":"b"},"c":0.5}'


def test_a_default_equals_the_same_value_passed() -> None:
    # Not only those with an annotation: their JSON forms are made by two libraries.
    def work(
        a: Size = Size.SMALL,
        b: Point = Point(),  # noqa: B008
        c: Any = (1, Size.SMALL),
        d: Decimal = Decimal(2),
        e: Any = Point(3),  # noqa: B008
        f: Any = Point,
    ) -> None: ...

    task = FluxQueue("redis://127.0.0.1:1").task(unique=True)(work)
    of = lock_rule(task, {})
    assert of is not None

    def text(**kwargs: Any) -> str:
        return of.of_key(of.key(*task._prepared((), kwargs)), has_chosen_id=False)[1]

    assert text() == (
        'work {"a":1,"b":{"x":1,"y":2.0},"c":[1,1],"d":"2","e":{"x":3,"y":2.0},"f":{"default":"f"}}'
    )
    assert text() == text(a=Size.SMALL, b=Point(), c=[1, Size.SMALL], d=Decimal(2), e=Point(3))
    assert text() != text(b=Point(2))


def test_the_text_beside_a_lock_is_short() -> None:
    def work(a: Any) -> None: ...

    of = rule(work)
    _, text, has_id = of.of_key(of.key(("x" * 1_000,), {}), has_chosen_id=True)
    assert text.startswith('work {"a":"xxx') and len(text) == 200 and has_id


def test_terms_without_a_lock_are_as_before() -> None:
    assert Terms(3).unique is None and Terms(3, unique=False).unique is None
