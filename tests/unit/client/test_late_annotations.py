"""Annotations with names that are not defined where the task is declared."""

from __future__ import annotations

import datetime as dt
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from fluxqueue import BrokerUnavailable, FluxQueue
from fluxqueue.typed_task import TypedCalls, TypedTask

if TYPE_CHECKING:
    from a_module_that_does_not_exist import Missing  # type: ignore[import-not-found]

REFUSING_URL = "redis://127.0.0.1:1?timeout=0.1"


@dataclass
class Line:
    product: int


def test_a_class_that_its_module_defines_further_down_is_found_at_the_first_call() -> None:
    module: dict[str, Any] = {"queue": FluxQueue(REFUSING_URL)}
    code = """
from __future__ import annotations
from dataclasses import dataclass
@queue.task()
def work(order: Order): ...
@dataclass
class Order: number: int
"""
    exec(code, module)
    work = module["work"]
    assert work.conversion().decode([{"number": 5}], {})[0] == [module["Order"](5)]


def test_a_class_that_a_field_names_may_be_defined_later() -> None:
    module: dict[str, Any] = {"queue": FluxQueue(REFUSING_URL), "__name__": "__main__"}
    code = """
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Order: lines: list[Line]
@queue.task()
def work(order: Order): ...
"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.modules", {**sys.modules, "__main__": types.SimpleNamespace(**module)})
        exec(code, module)
        work = module["work"]
        assert work.types.unresolved == {"order": "name 'Line' is not defined"}
        sys.modules["__main__"].Line = Line  # type: ignore[attr-defined]
        decoded = work.conversion().decode([{"lines": [{"product": 1}]}], {})[0]
    assert decoded == [module["Order"]([Line(1)])]


def test_a_class_that_is_local_to_a_function_is_found() -> None:
    @dataclass
    class Local:
        number: int = field(default=0)

    @FluxQueue(REFUSING_URL).task()
    def work(value: Local) -> None: ...

    conversion = work.conversion()
    assert conversion is not None
    assert conversion.decode([{"number": 5}], {})[0] == [Local(5)]


def test_a_name_that_only_type_checkers_know_makes_a_plain_task_at_the_first_call() -> None:
    @FluxQueue(REFUSING_URL).task()
    def work(value: Missing, when: dt.date | None = None) -> None: ...

    @FluxQueue(REFUSING_URL).task()
    async def plain(value: Missing) -> None: ...

    assert isinstance(plain, TypedCalls)
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            plain.enqueue(1)
        assert not isinstance(plain, TypedCalls)
    with pytest.raises(BrokerUnavailable):
        work(1)
    assert type(work) is TypedTask
    assert work.types is not None
    assert work.types.unresolved == {"value": "name 'Missing' is not defined"}
