"""Tasks whose code another process has: their signatures, options and calls."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import UTC, datetime
from typing import Any

import pytest
from fluxqueue import AsyncTask, ConfigurationError, Context, FluxQueue, Task
from fluxqueue.errors import ArgumentTypeError

app = FluxQueue("redis://127.0.0.1:1")


def send(to: str, *, cc: list[str] | None = None) -> int: ...  # type: ignore[empty-body]


async def notify(user: int, when: datetime) -> str: ...  # type: ignore[empty-body]


SIGNATURE = inspect.Signature(
    [
        inspect.Parameter("to", inspect.Parameter.POSITIONAL_ONLY, annotation=str),
        inspect.Parameter("when", inspect.Parameter.KEYWORD_ONLY, annotation=datetime),
    ]
)


def test_a_function_gives_the_kind_and_the_parameters() -> None:
    task = app.declare("send-email", queue="mails", signature=send, max_retries=7, timeout=5)
    assert (type(task), task.task_name, task.queue) == (Task, "send-email", "mails")
    assert task._route.terms.items() >= {"max_retries": 7, "timeout": 5}.items()
    assert isinstance(app.declare("notify", signature=notify), AsyncTask)
    with pytest.raises(TypeError, match=r"send\(\) missing 1 required positional argument: 'to'"):
        task.enqueue()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'bcc'"):
        task.options(delay=5).enqueue("a", bcc="b")  # type: ignore[call-arg]


def test_a_signature_is_checked_too() -> None:
    task = app.declare("send-email", signature=SIGNATURE)
    assert inspect.signature(task) == SIGNATURE
    with pytest.raises(TypeError, match=r"send-email\(\) missing 1 required"):
        task.enqueue(when=datetime.now(UTC))
    with pytest.raises(ArgumentTypeError, match="when"):
        task.enqueue("a", when="tomorrow")
    assert task.call("a", when=datetime(2026, 1, 1, tzinfo=UTC)).kwargs == {
        "when": "2026-01-01T00:00:00Z"
    }


def test_without_a_signature_every_call_fits() -> None:
    task = app.declare("anything")
    assert task.options(delay=1).call(1, a=2).args == (1,)


def test_annotations_of_the_caller_are_converted() -> None:
    @dataclasses.dataclass
    class Line:
        price: int

    def order(line: Line) -> None: ...

    task = app.declare("order", signature=order)
    assert task.call(Line(5)).args == ({"price": 5},)
    with pytest.raises(ArgumentTypeError, match="line"):
        task.call(5)  # type: ignore[arg-type]


def test_no_worker_of_this_process_runs_it() -> None:
    app.declare("send-email", signature=send)
    assert app.tasks == {}
    with pytest.raises(NotImplementedError, match="declared 'anything' without its code"):
        app.declare("anything").func()


def test_a_task_follows_its_object_to_another_redis() -> None:
    moving = FluxQueue("redis://old:1")
    task = moving.declare("send-email", signature=send)
    moving.broker.move("redis://new:2")
    assert task._producer.server == ("new", 2)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"signature": "to: str"}, TypeError, "not a str; write `def f"),
        ({"signature": 5}, TypeError, "it is not a function"),
        ({"signature": Context}, TypeError, "it is a class"),
        ({"retry_delay": 5}, TypeError, "'retry_delay': the worker's code decides it; .*timeout"),
        ({"time_limit": 5}, TypeError, r"declare\(\) has no option 'time_limit'; did you mean"),
        ({"max_retries": -1}, ConfigurationError, "max_retries is -1"),
        ({"queue": "a b"}, ConfigurationError, "a b"),
        ({"queue": 5}, TypeError, "the queue must be a str"),
    ],
)
def test_a_wrong_declaration_is_refused(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        app.declare("task", **arguments)
    with pytest.raises((TypeError, ConfigurationError), match="name"):
        app.declare("" if error is ConfigurationError else 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [{}, {"signature": send}])
def test_a_declaration_without_a_name_is_refused(arguments: dict[str, Any]) -> None:
    nothing: Any = None
    with pytest.raises(TypeError, match="the task's name must be a str, not NoneType"):
        app.declare(nothing, **arguments)
