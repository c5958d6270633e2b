"""Sets in arguments: their items have one order in JSON, so that equal calls have equal keys."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from fluxqueue import FluxQueue
from fluxqueue.converters import converter
from fluxqueue.limit_rule import limit_rule
from fluxqueue.lock_rule import lock_rule

# Equal sets that iterate in different orders, as sets of str do in different processes.
ONE, OTHER = set([0, 8, 16]), set([16, 8, 0])  # noqa: C405  # a display of constants is sorted
FROZEN_ONE, FROZEN_OTHER = frozenset([0, 8, 16]), frozenset([16, 8, 0])


@dataclass
class Record:
    items: set[int]
    anything: Any = None


class Struct(msgspec.Struct, rename="camel"):
    some_items: set[int]


class Array(msgspec.Struct, array_like=True, tag="array"):
    number: int
    items: set[int]


class Named(NamedTuple):
    items: set[int]


class Typed(TypedDict):
    items: set[int]


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    items: frozenset[int] = pydantic.Field(alias="theItems")
    names: dict[int, frozenset[int]] = {}


class Frozen(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    items: frozenset[int]


class Root(pydantic.RootModel[dict[str, set[int]]]):
    pass


@pydantic.dataclasses.dataclass
class Validated:
    items: set[int]


def with_sum(items: set[int]) -> list[int]:
    return [sum(items), *list(items)[1:]]


def without_sum(items: Any) -> Any:
    return [items[0] - sum(items[1:]), *items[1:]] if isinstance(items, list) else items


class Counted(pydantic.BaseModel):
    """A model whose JSON form says something by its order."""

    items: set[int]
    to_json = pydantic.field_serializer("items")(with_sum)
    from_json = pydantic.field_validator("items", mode="before")(without_sum)


class CountedInside(pydantic.BaseModel):
    """A model with such a field, by its annotation."""

    items: Annotated[
        set[int], pydantic.PlainSerializer(with_sum), pydantic.BeforeValidator(without_sum)
    ]


def test_the_sets_of_these_tests_iterate_in_different_orders() -> None:
    assert ONE == OTHER and list(ONE) != list(OTHER)
    assert FROZEN_ONE == FROZEN_OTHER and list(FROZEN_ONE) != list(FROZEN_OTHER)


def more(items: set[int]) -> dict[str, Any]:
    """A field that the model does not declare."""
    return {"more": [items]}


# The JSON of an int is compared, so 16 comes before 8.
SORTED = [0, 16, 8]

FORMS: list[tuple[Any, Any, Any, Any]] = [
    (set[int], ONE, OTHER, SORTED),
    (AbstractSet[int], ONE, OTHER, SORTED),
    (frozenset[int] | None, FROZEN_ONE, FROZEN_OTHER, SORTED),
    (set, ONE, OTHER, SORTED),
    (set[UUID], {UUID(int=8), UUID(int=1)}, {UUID(int=1), UUID(int=8)}, None),
    (dict[str, set[int]], {"b": ONE, "a": {1}}, {"b": OTHER, "a": {1}}, {"b": SORTED, "a": [1]}),
    (list[tuple[int, frozenset[int]]], [(1, FROZEN_ONE)], [(1, FROZEN_OTHER)], [[1, SORTED]]),
    (
        frozenset[frozenset[int]],
        frozenset([FROZEN_ONE, frozenset([-1])]),
        frozenset([frozenset([-1]), FROZEN_OTHER]),
        [[-1], SORTED],
    ),
    (Record, Record(ONE, [ONE]), Record(OTHER, [OTHER]), {"items": SORTED, "anything": [SORTED]}),
    (Struct, Struct(ONE), Struct(OTHER), {"someItems": SORTED}),
    (Array, Array(1, ONE), Array(1, OTHER), ["array", 1, SORTED]),
    (Named, Named(ONE), Named(OTHER), [SORTED]),
    (Typed, {"items": ONE}, {"items": OTHER}, {"items": SORTED}),
    (
        Model,
        Model(theItems=FROZEN_ONE, names={1: FROZEN_ONE}, **more(ONE)),
        Model(theItems=FROZEN_OTHER, names={1: FROZEN_OTHER}, **more(OTHER)),
        {"theItems": SORTED, "names": {"1": SORTED}, "more": [SORTED]},
    ),
    (
        frozenset[Frozen],
        frozenset([Frozen(items=FROZEN_ONE)]),
        frozenset([Frozen(items=FROZEN_OTHER)]),
        [{"items": SORTED}],
    ),
    (Root, Root({"root": ONE}), Root({"root": OTHER}), {"root": SORTED}),
    (Validated, Validated(ONE), Validated(OTHER), {"items": SORTED}),
]


@pytest.mark.parametrize(("annotation", "one", "other", "form"), FORMS)
def test_equal_values_have_one_form(annotation: Any, one: Any, other: Any, form: Any) -> None:
    by = converter(annotation)
    encoded = by.to_json(one)
    assert encoded == by.to_json(other)
    assert form is None or encoded == form


# A value without an annotation arrives in its JSON form.
ANNOTATED = [form for form in FORMS if form[0] not in (Record, Model)]


@pytest.mark.parametrize(("annotation", "value"), [(form[0], form[2]) for form in ANNOTATED])
def test_a_task_gets_what_was_passed(annotation: Any, value: Any) -> None:
    by = converter(annotation)
    assert by.from_json(by.to_json(value)) == value


def test_the_order_of_a_dict_stays_as_the_caller_made_it() -> None:
    by = converter(dict[str, set[int]])
    assert list(by.to_json({"b": ONE, "a": OTHER})) == ["b", "a"]


def test_an_order_that_says_something_stays() -> None:
    for kind in (Counted, CountedInside):
        by = converter(kind)
        encoded = by.to_json(kind(items={1, 2}))
        assert encoded == {"items": [3, 2]}
        assert by.from_json(encoded) == kind(items={1, 2})


@pytest.mark.parametrize("unique", [True, ("items",)])
def test_equal_sets_have_one_lock(unique: Any) -> None:
    @FluxQueue("redis://127.0.0.1:1").task(unique=unique)
    def work(items: set[int], by: frozenset[int] = FROZEN_ONE) -> None: ...

    rule = lock_rule(work, {})
    assert rule is not None

    def digest(*args: Any) -> str:
        return rule.of_key(rule.key(*work._prepared(args, {})), has_chosen_id=False)[0]

    assert digest(ONE) == digest(OTHER) == digest(ONE, FROZEN_OTHER)
    assert digest(ONE) != digest({0, 8})


def test_equal_sets_have_one_limit() -> None:
    @FluxQueue("redis://127.0.0.1:1").task(concurrency=1, limit_key="items")
    def work(items: frozenset[int] = FROZEN_ONE) -> None: ...

    rule = limit_rule(work)
    assert rule is not None

    def digest(*args: Any) -> str:
        return rule.of_key(rule.key(*work._prepared(args, {})))[0]

    assert digest() == digest(FROZEN_ONE) == digest(FROZEN_OTHER) != digest(frozenset())
