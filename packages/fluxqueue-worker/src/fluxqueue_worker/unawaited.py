"""The error of a task that returned something that still has to run: its work is not done.

A missing `await` leaves a coroutine, and so does a plain `def` around an `async def`, as
most decorators are. Around a generator it leaves a generator. Such an attempt must not count
as a success: the work would be lost with only a warning, or without one.
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from contextlib import suppress
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from fluxqueue.enqueued_call import EnqueuedCall
from fluxqueue_core.exception_text import NAME_LENGTH, class_of, plain

from .error_text import own_frame

# Results of these types have nothing to run. The loops look here themselves, because a call
# for each task costs more than the look.
FINISHED: frozenset[type] = frozenset({bool, int, float, str, bytes})
# Of the collections that a task returns: how many elements are examined, on how many levels.
ELEMENTS = 16
LEVELS = 3
# How many are closed on each level: a collection may be in itself.
CLOSED = 100_000
COLLECTIONS: tuple[type, ...] = (list, tuple, dict, set, frozenset, deque, type({}.values()))
# They call a function for each element, or look at it, when something iterates over them.
LAZY = (
    map,
    filter,
    itertools.accumulate,
    itertools.dropwhile,
    itertools.filterfalse,
    itertools.groupby,
    itertools.starmap,
    itertools.takewhile,
)

AWAIT = "which nothing runs; make the task, and what decorates it, an `async def` that awaits it"
ITERATE = "whose code nothing runs; iterate over it in the task"
WAIT = "which has not succeeded; await it in the task"
JOIN = "which has not succeeded; call its result() in the task"

# The attribute by which CPython shows whether one has ended.
_FRAMES = {CoroutineType: "cr_frame", GeneratorType: "gi_frame", AsyncGeneratorType: "ag_frame"}


def unawaited(result: object) -> TypeError | None:
    """The error of an attempt that returned `result`; None if nothing of it has to run.

    Looks into a collection: `[work(i) for i in ids]` lacks a `gather`. Closes what it finds,
    so that it leaves no warning.
    """
    found = next(filter(_found, _elements(result, ELEMENTS)), None)
    if found is None:
        return None
    kind, remedy = _found(found) or ("", "")
    for each in _elements(result, CLOSED):
        _close(each)
    inside = "" if found is result else f"a {type(result).__name__} with "
    return TypeError(f"the task returned {inside}the {kind} {_name(found)}, {remedy}")


@own_frame
def refuse_unawaited(result: object) -> None:
    """Raises the error of `unawaited`."""
    if (error := unawaited(result)) is not None:
        raise error


def _elements(result: Any, most: int) -> list[Any]:
    """The result, or up to `most` elements of each level of the collections in it."""
    if _collection(type(result)) is None:
        return [result]
    found = level = _inside(result, most)
    for _ in range(LEVELS - 1):
        inside = [each for each in level if _collection(type(each)) is not None]
        if not inside:
            break
        elements = itertools.chain.from_iterable(_inside(each, most) for each in inside)
        level = list(itertools.islice(elements, most))
        found = found + level
    return found


def _collection(kind: type) -> type | None:
    """The one of `COLLECTIONS` that the class is, or is a subclass of."""
    if kind in FINISHED:
        return None
    return next((base for base in COLLECTIONS if issubclass(kind, base)), None)


def _inside(collection: Any, most: int) -> list[Any]:
    base: Any = _collection(type(collection))
    # A subclass may have redefined its iteration.
    elements = dict.values(collection) if base is dict else base.__iter__(collection)
    with suppress(RuntimeError):  # another thread changes it
        return list(itertools.islice(elements, most))
    return []


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
    return None


def _has_succeeded(future: Any) -> bool:
    done: bool = future.done() and not future.cancelled() and future.exception() is None
    return done


def _name(value: Any) -> str:
    if type(value) in _FRAMES:
        return f"{plain(value.__qualname__, NAME_LENGTH)}()"
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
