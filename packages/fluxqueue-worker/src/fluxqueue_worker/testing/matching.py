"""Compares calls with what a test expects, and says what differs."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from fluxqueue.task import AnyTask, AsyncTask, Task
from fluxqueue.with_options import BaseWithOptions
from fluxqueue_core import json_codec

from .call import Call

# A task, its view with options, or the name under which workers know it.
TaskLike: TypeAlias = AnyTask | BaseWithOptions[Any, Any] | str

# Seconds by which a delay may differ: messages have milliseconds.
PRECISE = 0.001
# Of a call with `eta`, whose delay is measured by the clock.
OF_ETA = 1.0
_MISSING = object()


class Expected:
    """The call that a test expects.

    Args:
        args, kwargs: its arguments, however they are passed; None: any.
        delay: seconds, a timedelta, or an object that compares itself; None: any.
    """

    def __init__(
        self,
        task: TaskLike,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        delay: Any,
        queue: str | None,
    ) -> None:
        own: Any = task.task if isinstance(task, BaseWithOptions) else task
        if not isinstance(own, Task | AsyncTask | str):
            raise TypeError(f"{task!r} is not a task; give the decorated function, or its name")
        if isinstance(args, str | bytes) or not isinstance(args, Iterable | None):
            raise TypeError(f"args is {args!r}; give a tuple, such as args=({args!r},)")
        if not isinstance(kwargs, Mapping | None):
            raise TypeError(f"kwargs is {kwargs!r}; give a dict of names and values")
        self._task: AnyTask | str = own
        self._name: str = own if isinstance(own, str) else own.task_name
        self._queue = queue
        self._args = None if args is None and kwargs is None else tuple(args or ())
        self._kwargs = dict(kwargs or {})
        self._delay = delay.total_seconds() if isinstance(delay, timedelta) else delay
        if self._args is not None and not isinstance(own, str):
            # A test that expects an impossible call has a mistake.
            inspect.signature(own).bind(*self._args, **self._kwargs)

    def is_same_task(self, call: Call) -> bool:
        """Whether the call is one of the task."""
        if isinstance(self._task, str) or call.task is None:
            return call.name == self._name
        return call.task is self._task or (
            # The object that calls may have declared it without its code.
            call.name == self._name and not (call.task.has_code and self._task.has_code)
        )

    def differences(self, call: Call) -> list[str]:
        """Returns what is different in a call; none for the expected one."""
        if not self.is_same_task(call):
            return [f"another task than {self._name!r}"]
        found: list[str] = []
        if self._args is not None:
            found += self._of_arguments(call)
        if self._queue is not None and call.queue != self._queue:
            found.append(f"queue is {call.queue!r}, not {self._queue!r}")
        if self._delay is not None and not self._same_delay(call):
            found.append(f"delay is {call.delay:g} s, not {_shown_delay(self._delay)}")
        return found

    def _same_delay(self, call: Call) -> bool:
        if not isinstance(self._delay, int | float):
            return bool(self._delay == call.delay)
        precision = PRECISE if call.eta is None else OF_ETA
        return abs(call.delay - self._delay) <= precision

    def _of_arguments(self, call: Call) -> Iterable[str]:
        assert self._args is not None
        task = call.task if isinstance(self._task, str) else self._task
        expected = _by_name(task, self._args, self._kwargs)
        actual = _by_name(task, call.args, call.kwargs)
        sent = _by_name(task, *call.json)
        for name in {**expected, **actual}:
            want, have = expected.get(name, _MISSING), actual.get(name, _MISSING)
            if want is _MISSING:
                yield f"{name} is {have!r}, and was not expected"
            elif have is _MISSING:
                yield f"{name} is missing, not {want!r}"
            elif not (want == have or _json(task, name, want) == _json(None, name, sent[name])):
                yield f"{name} is {have!r}, not {want!r}"

    def __str__(self) -> str:
        if self._args is None:
            shown = f"{self._name}(...)"
        else:
            parts = [*map(repr, self._args)]
            parts += [f"{name}={value!r}" for name, value in self._kwargs.items()]
            shown = f"{self._name}({', '.join(parts)})"
        if self._queue is not None:
            shown += f" of queue {self._queue!r}"
        return shown if self._delay is None else f"{shown}, delay {_shown_delay(self._delay)}"


def _by_name(
    task: AnyTask | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    if task is None:
        return {**{f"argument {at}": value for at, value in enumerate(args)}, **kwargs}
    bound = inspect.signature(task).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _json(task: AnyTask | None, name: str, value: Any) -> bytes | None:
    """The value as JSON, by the annotation of its parameter if there is a task. None: it has no
    such form, as an object that compares itself."""
    converter = None if task is None else task._converter(name)
    try:
        return json_codec.dumps(value if converter is None else converter.to_json(value))
    except (TypeError, ValueError):
        return None


def _shown_delay(delay: Any) -> str:
    return f"{delay:g} s" if isinstance(delay, int | float) else repr(delay)


def shown(calls: Sequence[Call], expected: Expected | None = None) -> str:
    """Returns the calls, one a line, each with what is different from the expected one."""
    if not calls:
        return "nothing was enqueued"
    lines = []
    for call in calls:
        found = [] if expected is None else expected.differences(call)
        lines.append(f"  {call!r}" + (f": {'; '.join(found)}" if found else ""))
    return "\n".join([f"enqueued ({len(calls)}):", *lines])
