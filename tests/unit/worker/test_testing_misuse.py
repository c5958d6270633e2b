"""Mistakes in the use of `fluxqueue.testing` are errors, and never a test that passes by chance."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from fluxqueue import BrokerUnavailable, FluxQueue
from fluxqueue.testing import CapturedMode, captured, inline, worker

NOWHERE = "redis://127.0.0.1:1"
queue = FluxQueue(NOWHERE, timeout=0.1)


@queue.task()
def note(text: str = "") -> None: ...


@pytest.mark.parametrize("objects", [(), (queue,)])
@pytest.mark.parametrize(("first", "second"), [(captured, inline), (inline, captured)])
def test_modes_may_end_in_any_order(
    objects: tuple[FluxQueue, ...], first: Callable[..., Any], second: Callable[..., Any]
) -> None:
    producer = queue.broker.producer
    a, b = first(*objects), second(*objects)
    with ExitStack() as stack:
        a.__enter__()
        stack.callback(a.__exit__, None, None, None)
        b.__enter__()
        a.__exit__(None, None, None)
        note()
        later = FluxQueue(NOWHERE, timeout=0.1)

        @later.task()
        def other() -> None: ...

        if not objects:
            other()
        assert len(b.calls) == 2 - len(objects) and not a.calls
        b.__exit__(None, None, None)
    assert queue.broker.producer is producer
    for each in (note, other, FluxQueue(NOWHERE, timeout=0.1).task()(note.func)):
        with pytest.raises(BrokerUnavailable):
            each.enqueue()


def test_the_middle_one_of_three_modes_may_end_first() -> None:
    modes = [captured(queue), captured(), captured(queue)]
    for each in modes:
        each.__enter__()
    for ended, counts in ((1, [0, 0, 1]), (2, [1, 0, 1]), (0, None)):
        modes[ended].__exit__(None, None, None)
        if counts is not None:
            note()
            assert [len(mode.calls) for mode in modes] == counts
    with pytest.raises(BrokerUnavailable):
        note()


@pytest.mark.parametrize("mode", [inline, captured, worker])
@pytest.mark.parametrize("wrong", [note, "redis://localhost", None, queue.broker])
def test_a_mode_takes_nothing_but_fluxqueue_objects(mode: Callable[..., Any], wrong: Any) -> None:
    with pytest.raises(TypeError, match="is not a FluxQueue object; name the objects"):
        mode(queue, wrong)


@pytest.mark.parametrize(
    ("seconds", "error", "message"),
    [
        (-1, ValueError, "can't go back by 1 s"),
        (float("nan"), ValueError, "can't go on by nan s"),
        (float("inf"), ValueError, "can't go on by inf s"),
        ("60", TypeError, r"travel\('60'\): give a number of seconds"),
        (timedelta(seconds=60), TypeError, "give a number of seconds"),
    ],
)
def test_a_test_travels_by_a_number_of_seconds(
    seconds: Any, error: type[Exception], message: str
) -> None:
    with captured(queue) as tasks:
        with pytest.raises(error, match=message):
            tasks.travel(seconds)
        assert tasks.now == 0


@pytest.mark.parametrize("method", [CapturedMode.assert_enqueued, CapturedMode.refute_enqueued])
@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        (None, {}, "None is not a task; give the decorated function, or its name"),
        (note.func, {}, "is not a task"),
        (note, {"args": "a"}, r"args is 'a'; give a tuple, such as args=\('a',\)"),
        (note, {"args": b"a"}, "give a tuple"),
        (note, {"args": 1}, r"such as args=\(1,\)"),
        (note, {"kwargs": ["text"]}, "give a dict"),
    ],
)
def test_an_assertion_that_no_call_can_fit_is_an_error(
    method: Callable[..., Any], task: Any, arguments: dict[str, Any], message: str
) -> None:
    with captured(queue) as tasks:
        note("a")
        with pytest.raises(TypeError, match=message):
            method(tasks, task, **arguments)
