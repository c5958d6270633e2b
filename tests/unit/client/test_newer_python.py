"""Newer versions of Python: annotations that are evaluated late, and `frozendict`."""

from __future__ import annotations

import builtins
import math
import sys
from typing import Any

import pytest
from fluxqueue import Context, FluxQueue
from fluxqueue.errors import ArgumentTypeError, ArgumentValueError
from fluxqueue.key_json import key_json
from fluxqueue.return_value import ReturnValue

late = pytest.mark.skipif(sys.version_info < (3, 14), reason="3.14 evaluates annotations late")
frozendict: Any = getattr(builtins, "frozendict", None)
frozen = pytest.mark.skipif(frozendict is None, reason="3.15 has frozendict")

# Not a part of this module, whose annotations are texts.
SOURCE = """
from typing import TYPE_CHECKING, Annotated

from fluxqueue import Context, Depends, FluxQueue

if TYPE_CHECKING:
    from shop import Order, Session

queue = FluxQueue("redis://127.0.0.1:1")

def session() -> Session:
    return "a session"

def delay(attempt: int, error: Order) -> float:
    return 1.0

@queue.task(retry=delay)
def pay(order: Order, count: int = 1) -> Order | None: ...

@queue.task_with_context()
def ship(ctx: Context, order: list[Order]) -> None: ...

@queue.task()
def store(order: Order, session: Annotated[Session, Depends(session)]) -> None: ...

@queue.task()
def cancel(order: Order, at: Later) -> None: ...

class Later(str): ...
"""


@pytest.fixture
def tasks() -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(SOURCE, "tasks", "exec", dont_inherit=True), names)
    return names


@late
def test_an_annotation_may_name_a_class_that_only_type_checkers_import(
    tasks: dict[str, Any],
) -> None:
    assert str(tasks["pay"].__signature__) == "(order: 'Order', count: 'int' = 1) -> 'Order | None'"
    assert tasks["ship"].context_type is Context
    assert list(tasks["ship"].__signature__.parameters) == ["order"]
    assert list(tasks["store"].__signature__.parameters) == ["order"]


@late
def test_the_other_annotations_of_such_a_function_are_read(tasks: dict[str, Any]) -> None:
    # An argument of another class than Later is refused before anything is sent.
    with pytest.raises(ArgumentTypeError, match="Later"):
        tasks["cancel"](1, 2)


def test_a_mistake_in_the_declaration_is_still_an_error() -> None:
    with pytest.raises(TypeError, match="has no first parameter for the context"):
        FluxQueue("redis://127.0.0.1:1").task_with_context()(lambda: None)  # type: ignore


@frozen
def test_nan_in_a_frozendict_is_refused() -> None:
    value = {"rates": [frozendict(eur=1.0, usd=math.nan)]}
    queue = FluxQueue("redis://127.0.0.1:1")
    task = queue.task(name="convert")(lambda rates: None)
    with pytest.raises(ArgumentValueError, match=r'argument rates\["rates"\]\[0\]\["usd"\] is NaN'):
        task(value)
    with pytest.raises(ArgumentTypeError, match="a dict with a key of type int"):
        task(frozendict({1: 2}))
    with pytest.raises(ValueError, match="no NaN"):
        key_json(value)
    with pytest.raises(ValueError, match="no NaN"):
        ReturnValue(lambda: None, Any, "task 'f'").encode(value)


@frozen
def test_a_frozendict_is_written_as_a_dict() -> None:
    assert key_json([frozendict(b=None, a=1)]) == b'[{"a":1,"b":null}]'
