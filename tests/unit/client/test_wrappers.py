"""The signature of a task whose function is decorated: the wrapper is believed, except if
its code shows that it passes on its own arguments."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from fluxqueue import Context, FluxQueue
from fluxqueue.wrappers import call_signature

Function = Callable[..., Any]
fluxqueue = FluxQueue("redis://127.0.0.1:1")
log = logging.getLogger(__name__)


class Client:
    """A class that JSON has no form of."""


def work(session: str, user: int, *, copies: int = 1) -> None: ...


async def work_async(session: str, user: int, *, copies: int = 1) -> None: ...


INNER = inspect.signature(work)


def logs(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        log.debug("%s begins with %s", function.__name__, args)
        with nullcontext():
            return function(*args, **kwargs)

    return wrapper


def logs_async(function: Function) -> Function:
    @functools.wraps(function)
    async def wrapper(*a: Any, **k: Any) -> Any:
        try:
            return await function(*a, **k)
        finally:
            log.debug("%s has ended", function.__qualname__)

    return wrapper


def tries_twice(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ValueError:
            return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize("decorator", [logs, tries_twice, lambda f: logs(tries_twice(f))])
def test_a_wrapper_that_passes_on_its_arguments_keeps_the_check(decorator: Any) -> None:
    assert call_signature(decorator(work)) == INNER


def test_an_async_wrapper_that_passes_on_its_arguments_keeps_the_check() -> None:
    assert call_signature(logs_async(work_async)) == INNER


def injects_first(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function("session", *args, **kwargs)

    return wrapper


def injects_by_name(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, session="session", **kwargs)

    return wrapper


def injects_into_kwargs(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        kwargs["session"] = "session"
        return function(*args, **kwargs)

    return wrapper


def injects_by_default(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("session", "session")
        return function(*args, **kwargs)

    return wrapper


def replaces_args(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        args = ("session", *args)
        return function(*args, **kwargs)

    return wrapper


def injects_in_one_branch(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not args:
            return function("session", 1)
        return function(*args, **kwargs)

    return wrapper


def injects_in_a_closure(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return (lambda: function("session", *args, **kwargs))()

    return wrapper


def calls_another(function: Function) -> Function:
    partial = functools.partial(function, "session")

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return partial(*args, **kwargs)

    return wrapper


def never_calls(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return None

    return wrapper


INJECTORS = [
    injects_first,
    injects_by_name,
    injects_into_kwargs,
    injects_by_default,
    replaces_args,
    injects_in_one_branch,
    injects_in_a_closure,
    calls_another,
    never_calls,
    lambda f: logs(injects_first(f)),
]


@pytest.mark.parametrize("decorator", INJECTORS)
def test_a_wrapper_that_may_add_arguments_accepts_every_call(decorator: Any) -> None:
    assert [p.kind for p in call_signature(decorator(work)).parameters.values()] == [
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    ]


def test_the_parameters_of_a_wrapper_are_believed() -> None:
    @functools.wraps(work)
    def wrapper(user: int) -> None: ...

    task = fluxqueue.task(name="believed")(wrapper)
    assert str(inspect.signature(task)) == "(user: 'int') -> 'None'"
    task._check(5)
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        task._check("session", 5)


@pytest.mark.parametrize("above", [lambda f: f, logs])
def test_a_signature_that_a_decorator_sets_is_believed(above: Any) -> None:
    wrapper = injects_first(work)
    left = list(INNER.parameters.values())[1:]
    wrapper.__signature__ = INNER.replace(parameters=left)  # type: ignore[attr-defined]
    assert list(call_signature(above(wrapper)).parameters) == ["user", "copies"]


def test_a_context_goes_through_a_wrapper() -> None:
    def show(ctx: Context, image: int) -> None: ...

    checked = fluxqueue.task_with_context(name="checked")(logs(show))
    assert list(inspect.signature(checked).parameters) == ["image"]
    believed = fluxqueue.task_with_context(name="any")(injects_by_default(show))
    assert list(inspect.signature(believed).parameters) == ["args", "kwargs"]


def names(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(when: Any) -> Any:
        return function("session", when)

    return wrapper


def with_session(session: Client, when: dt.date) -> None: ...


def with_date(when: dt.date) -> None: ...


def with_number(session: Client, number: int) -> None: ...


def test_the_annotated_arguments_of_a_wrapper_are_converted() -> None:
    for number, func in enumerate([logs(with_date), names(with_session)]):
        conversion = fluxqueue.task(name=str(number))(func).conversion()
        assert conversion is not None
        assert conversion.decode(["2026-01-01"], {})[0] == [dt.date(2026, 1, 1)]


def test_a_wrapper_that_may_add_arguments_goes_with_plain_annotations_only() -> None:
    assert fluxqueue.task()(injects_first(with_number)).conversion() is None
    with pytest.raises(TypeError, match=r"'when' of datetime\.date.*can't tell.*__signature__"):
        fluxqueue.task()(injects_first(with_session))
