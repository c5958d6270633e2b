"""The option `on_failure`, and the `Failure` that its task gets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fluxqueue import ConfigurationError, Failure, FluxQueue
from fluxqueue_core import Route

FAILURE = {
    "id": "1",
    "name": "work",
    "queue": "q",
    "reason": "failed",
    "error": "KeyError",
    "traceback": "",
    "attempts": 4,
    "args": [1, {"a": None}],
    "kwargs": {"b": [2]},
}


def work(number: int = 0) -> None: ...


def alert(failure: Failure) -> None: ...


def two(first: int, second: int) -> None: ...


def test_a_message_names_the_task_with_its_terms() -> None:
    client = FluxQueue()
    last = client.task("last", max_retries=0)(alert)
    called = client.task(
        "alert", queue="alerts", timeout=2.5, result_ttl=60, priority=5, on_failure=last
    )(alert)
    task = client.task(on_failure=called)(work)
    assert task.terms.on_failure is called
    assert json.loads(task.terms.sent()["on_failure"]) == {
        "name": "alert",
        "queue": "alerts",
        "max_retries": 3,
        "timeout": 2.5,
        "result_ttl": 60,
        "on_failure": {"name": "last", "queue": "default", "max_retries": 0},
    }
    # Calls with options have it too.
    assert task.options(queue="other", delay=1)._route.terms["on_failure"] is not None


def test_a_name_may_belong_to_another_process() -> None:
    client = FluxQueue()
    assert client.task(on_failure="alert")(work).terms.sent()["on_failure"] == '{"name":"alert"}'
    declared = client.declare("elsewhere", on_failure="alert")
    assert declared.terms.sent()["on_failure"] == '{"name":"alert"}'


def test_without_the_option_a_message_has_nothing_of_it() -> None:
    assert FluxQueue().task()(work).terms.sent()["on_failure"] is None


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ("", ConfigurationError, "on_failure: "),
        ("a\nb", ConfigurationError, "on_failure: "),
        (work, TypeError, "on_failure must be a task, the name of a task, or None, not function"),
        (7, TypeError, "on_failure must be a task, the name of a task, or None, not int"),
    ],
)
def test_anything_else_is_refused(value: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        FluxQueue().task(on_failure=value)


def test_a_task_that_does_not_take_a_failure_is_refused() -> None:
    client = FluxQueue()
    with pytest.raises(TypeError, match=r"on_failure: task 'two' must take one argument, a flux"):
        client.task(on_failure=client.task()(two))


def test_a_chain_of_callbacks_is_bounded() -> None:
    client = FluxQueue()
    task = client.task("0")(alert)
    for number in range(1, 9):
        task = client.task(str(number), on_failure=task)(alert)
    with pytest.raises(ConfigurationError, match=r"on_failure of task \"9\".*more than 8 deep"):
        client.task("9", on_failure=task)(alert)


@pytest.mark.parametrize("json_text", ["7", "{}", '{"name":"a","queue":"{"}'])
def test_a_route_refuses_a_callback_that_no_worker_can_read(json_text: str) -> None:
    with pytest.raises(ConfigurationError, match="on_failure of task"):
        Route("q", "t", on_failure=json_text)


@pytest.mark.parametrize("missing", [{}, {"args": None, "kwargs": None}])
def test_an_annotated_parameter_gets_the_failure(missing: dict[str, Any]) -> None:
    task = FluxQueue().task()(alert)
    conversion = task.conversion()
    assert conversion is not None
    # A later release may send more.
    args, _ = conversion.decode(({**FAILURE, **missing, "later": 1},), {})
    assert [*args] == [Failure(**(FAILURE | missing))]  # type: ignore[arg-type]
