"""The options of unique tasks: their checks, the keys of calls, and what callers of other tasks
pay for them."""

from __future__ import annotations

import inspect
from typing import Any, get_args
from uuid import UUID

import pytest
from fluxqueue import AsyncTask, ConfigurationError, FluxQueue, Task
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
        ({"unique": True, "unique_ttl": 0}, ConfigurationError, "unique_ttl is 0; give seconds"),
        ({"unique": True, "unique_ttl": None}, TypeError, "unique_ttl must be a number of seconds"),
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
    # Without a signature, an argument that is passed by place has no name.
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
    assert bound(signature, (1,), {}) == expected
    assert bound(signature, (1, 3, 4), {"d": 5, "g": 6}) == {
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


def test_the_text_beside_a_lock_is_short() -> None:
    def work(a: Any) -> None: ...

    of = rule(work)
    _, text, has_id = of.of_key(of.key(("x" * 1_000,), {}), has_chosen_id=True)
    assert text.startswith('work {"a":"xxx') and len(text) == 200 and has_id


def test_terms_without_a_lock_are_as_before() -> None:
    assert Terms(3).unique is None and Terms(3, unique=False).unique is None
