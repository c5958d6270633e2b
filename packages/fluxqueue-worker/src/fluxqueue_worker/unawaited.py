"""The error of a task that returned something that still has to run: its work is not done.

A missing `await` leaves a coroutine, and so does a plain `def` around an `async def`, as
most decorators are. Around a generator it leaves a generator. Such an attempt must not count
as a success: the work would be lost with only a warning, or without one.

Why these results and no others: docs/decisions/0117-results-that-have-to-run.md
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from contextlib import suppress
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from fluxqueue.enqueued_call import EnqueuedCall
from fluxqueue_core.exception_text import NAME_LENGTH, class_of, plain

from .error_text import own_frame
from .result_parts import COLLECTIONS, FINISHED, LAZY, deferred_function, elements

# Of the parts of a result: how many are examined on each level.
ELEMENTS = 16
# How many are closed on each level: a collection may be in itself.
CLOSED = 100_000

AWAIT = "which nothing runs; make the task, and what decorates it, an `async def` that awaits it"
ITERATE = "whose code nothing runs; iterate over it in the task"
WAIT = "which has not succeeded; await it in the task"
JOIN = "which has not succeeded; call its result() in the task"
CALL = "which nothing calls; call it in the task, and await or iterate over what it returns"

# The attribute by which CPython shows whether one has ended.
_FRAMES = {CoroutineType: "cr_frame", GeneratorType: "gi_frame", AsyncGeneratorType: "ag_frame"}


def unawaited(result: object) -> TypeError | None:
    """The error of an attempt that returned `result`; None if nothing of it has to run.

    Looks at its parts: `[work(i) for i in ids]` lacks a `gather`, and nothing reads
    `zip(ids, rows())`. Closes what it finds, so that it leaves no warning.
    """
    found = next(filter(_found, elements(result, ELEMENTS)), None)
    if found is None:
        return None
    kind, remedy = _found(found) or ("", "")
    for each in elements(result, CLOSED):
        _close(each)
    inside = "" if found is result else f"{_article(class_of(result)[1])} with "
    return TypeError(f"the task returned {inside}the {kind} {_name(found)}, {remedy}")


@own_frame
def refuse_unawaited(result: object) -> None:
    """Raises the error of `unawaited`."""
    if (error := unawaited(result)) is not None:
        raise error


def _found(value: object) -> tuple[str, str] | None:
    """The kind of a value that has to run, and the remedy."""
    kind = type(value)
    if value is None or kind in FINISHED or kind in COLLECTIONS:
        return None
    if (frame := _FRAMES.get(kind)) is not None and getattr(value, frame) is None:
        return None
    # Without these modules there are no futures. Another thread may be importing one.
    for module, remedy in (("asyncio", WAIT), ("concurrent.futures", JOIN)):
        future = getattr(sys.modules.get(module), "Future", None)
        if future is not None and issubclass(kind, future):
            return None if _has_succeeded(value) else ("future", remedy)
    with suppress(Exception):  # of a metaclass
        if issubclass(kind, EnqueuedCall):
            return None  # it warns by itself
        if issubclass(kind, Coroutine):
            return "coroutine", AWAIT
        if issubclass(kind, (Generator, *LAZY)):
            return "generator", ITERATE
        if issubclass(kind, AsyncGenerator):
            return "async generator", ITERATE
        if issubclass(kind, Awaitable):
            return "awaitable", AWAIT
        if deferred_function(value) is not None:
            return "partial of", CALL
    return None


def _has_succeeded(future: Any) -> bool:
    done: bool = future.done() and not future.cancelled() and future.exception() is None
    return done


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _name(value: Any) -> str:
    named = value if type(value) in _FRAMES else deferred_function(value)
    if named is not None:
        return f"{plain(named.__qualname__, NAME_LENGTH)}()"
    module, name = class_of(value)
    return f"of the class {module}.{name}" if module else f"of the class {name}"


def _close(value: Any) -> None:
    """Closes what has not run, and withdraws what has not ended."""
    if _found(value) is None:
        return
    # Its code may run at that, and raise whatever it likes.
    with suppress(BaseException):
        if issubclass(type(value), Coroutine | Generator):
            value.close()
        # Another loop's future must not be touched from this thread.
        elif value.get_loop() is sys.modules["asyncio"]._get_running_loop():
            value.add_done_callback(_has_succeeded)  # asyncio logs errors that nothing reads
            value.cancel()
