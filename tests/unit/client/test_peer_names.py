"""The names of other queues' options and calls are errors that name ours."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from fluxqueue import FluxQueue, peer_names
from fluxqueue.options import Terms

fluxqueue = FluxQueue()


@fluxqueue.task()
def plain(x: int) -> None: ...


@fluxqueue.task()
async def pausing(x: int) -> None: ...


@pytest.mark.parametrize(
    ("option", "ours"),
    [("time_limit", "timeout"), ("autoretry_for", "retry_on"), ("queue_name", "queue")],
)
def test_an_option_of_another_queue(option: str, ours: str) -> None:
    options: dict[str, Any] = {option: 1}
    with pytest.raises(TypeError, match=rf"has no option '{option}'; did you mean {ours}\?"):
        fluxqueue.task(**options)


def test_bind_of_celery() -> None:
    with pytest.raises(TypeError, match=r"'bind'; @fluxqueue\.task_with_context\(\) gives"):
        fluxqueue.task(bind=True)  # type: ignore[call-arg]


def test_each_advice_names_what_exists() -> None:
    assert set(peer_names.OPTIONS.values()) <= {"name", "queue", *Terms.__dataclass_fields__}
    for task in (plain, pausing):
        assert all(callable(getattr(task, call)) for call in peer_names.CALLS.values())


@pytest.mark.parametrize("task", [plain, pausing])
def test_a_call_of_another_queue(task: Any) -> None:
    name = task.__name__
    with pytest.raises(AttributeError, match=rf"'delay'; write `{name}\.enqueue\(\.\.\.\)`"):
        task.delay(1)
    with pytest.raises(AttributeError, match=rf"write `await {name}\.enqueue_async\(\.\.\.\)`"):
        task.kiq(1)


def test_other_attributes_are_missing_as_on_any_object() -> None:
    with pytest.raises(AttributeError, match=r"^'Task' object has no attribute 'colour'$"):
        plain.colour  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(plain, "delay")
    assert getattr(plain, "send", None) is None
    with pytest.raises(AttributeError):  # before __init__, where __name__ is missing too
        type(plain).__new__(type(plain)).delay  # type: ignore[attr-defined]  # noqa: B018
    copy.copy(plain).func(1)
