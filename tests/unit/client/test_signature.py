"""A call that does not fit the signature fails as a call of the function would."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import pytest
from fluxqueue.signature import call_check


def no_parameters() -> None: ...
def one(a: int) -> None: ...
def default(a: int, b: int = 2) -> None: ...
def positional_only(a: int, b: int = 2, /) -> None: ...
def positional_and_more(a: int, /, b: int) -> None: ...
def keyword_only(a: int, *, b: int, c: int = 3) -> None: ...
def variadic(a: int, *rest: int) -> None: ...
def variadic_keyword_only(*rest: int, b: int) -> None: ...
def keywords(a: int, /, **more: int) -> None: ...
def everything(a: int, /, b: int, *rest: int, c: int = 3, d: int, **more: int) -> None: ...
def named_self(self: int, größe: int) -> None: ...


FUNCTIONS = [
    no_parameters,
    one,
    default,
    positional_only,
    positional_and_more,
    keyword_only,
    variadic,
    variadic_keyword_only,
    keywords,
    everything,
    named_self,
]
NAMES = ["a", "b", "c", "d", "self", "größe", "unknown"]


def outcome(function: Any, args: tuple[int, ...], kwargs: dict[str, int]) -> str:
    try:
        function(*args, **kwargs)
    except TypeError as error:
        return str(error)
    return "fits"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_check_says_what_the_function_would_say(function: Any) -> None:
    check = call_check(inspect.signature(function), function)
    outcomes = set()
    for length in range(4):
        for size in range(4):
            for names in itertools.combinations(NAMES, size):
                args, kwargs = tuple(range(length)), dict.fromkeys(names, 0)
                wanted = outcome(function, args, kwargs)
                assert outcome(check, args, kwargs) == wanted
                outcomes.add(wanted == "fits")
    assert outcomes == {True, False}


def test_a_default_value_is_neither_evaluated_nor_kept() -> None:
    class Default:
        def __repr__(self) -> str:
            raise AssertionError("the source text of the check needs no value")

    def function(a: object = Default()) -> None: ...

    check = call_check(inspect.signature(function), function)
    check()
    assert check.__defaults__ == (None,)


def test_a_check_of_a_call_runs_nothing_of_the_function() -> None:
    ran = []

    def function(a: int) -> None:
        ran.append(a)

    check = call_check(inspect.signature(function), function)
    check(1)
    assert ran == []
    with pytest.raises(TypeError, match=r"function\(\) missing 1 required"):
        check()
    assert ran == []
