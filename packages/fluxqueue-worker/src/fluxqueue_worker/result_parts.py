"""The parts of a task's result, as far as they are examined for code that still has to run.

Nothing here runs code of the application: an iterator is not advanced, and no attribute is
read. CPython's garbage collector knows what an iterator or a record holds.

Why these and no others: docs/decisions/0117-results-that-have-to-run.md
"""

from __future__ import annotations

import functools
import gc
import itertools
from collections import deque
from contextlib import asynccontextmanager, contextmanager, suppress
from types import MethodType, SimpleNamespace
from typing import Any

# Results of these types have nothing to run. The loops look here themselves, because a call
# for each task costs more than the look.
FINISHED: frozenset[type] = frozenset({bool, int, float, str, bytes})
# On how many levels the parts of a result are examined.
LEVELS = 3
COLLECTIONS: tuple[type, ...] = (list, tuple, dict, set, frozenset, deque, type({}.values()))
# They call a function for each element, or look at it, when something iterates over them.
LAZY = (
    map,
    filter,
    type(iter(int, 1)),
    itertools.accumulate,
    itertools.dropwhile,
    itertools.filterfalse,
    itertools.groupby,
    itertools.starmap,
    itertools.takewhile,
)


@contextmanager
def _context() -> Any:
    yield


@asynccontextmanager
async def _async_context() -> Any:
    yield


_EMPTY: dict[Any, Any] = {}
# They hold others, and have nothing to run if these have not: iterators that pass on the
# elements of others, partial calls, and calls of a function that `contextmanager` decorates.
_HOLDERS: frozenset[type] = frozenset(
    {
        *(zip, enumerate, reversed, functools.partial, SimpleNamespace),
        *(type(iter(kind())) for kind in (list, tuple, dict, set, deque)),
        *(type(iter(view)) for view in (_EMPTY.values(), _EMPTY.items())),
        *(type(reversed(one)) for one in (_EMPTY, _EMPTY.values(), _EMPTY.items())),
        *(type(reversed([])), type(reversed(deque()))),
        *(kind for kind in vars(itertools).values() if isinstance(kind, type)),
        *(type(_context()), type(_async_context())),
    }
).difference(LAZY)
# The marks of classes that are records: of dataclasses, attrs and msgspec.
_RECORD_MARKS = ("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__")
_CODE_TO_RUN = 0x20 | 0x80 | 0x100 | 0x200  # inspect.CO_GENERATOR, ..._COROUTINE and so on


def elements(result: Any, most: int) -> list[Any]:
    """The result and its parts, up to `most` on each level."""
    found = level = [result]
    for _ in range(LEVELS):
        inside: list[Any] = []
        for each in level:
            kind = type(each)
            if each is None or kind in FINISHED:
                continue
            inside += _parts(each, kind, most - len(inside))
            if len(inside) >= most:
                break
        if not inside:
            break
        level = inside
        found = found + level
    return found


def deferred_function(value: Any) -> Any:
    """The `async def` or the generator that a `functools.partial` would call; else None."""
    if type(value) is not functools.partial:
        return None
    func = value.func
    inner = func.__func__ if type(func) is MethodType else func
    is_one = type(inner) is type(deferred_function) and inner.__code__.co_flags & _CODE_TO_RUN
    return inner if is_one else None


def _parts(value: Any, kind: type, most: int) -> list[Any]:
    """Up to `most` parts of the value."""
    if kind in _HOLDERS:
        return _held(value, most)
    base: Any = kind if kind in COLLECTIONS else None
    with suppress(Exception):  # of a metaclass
        base = base or next((base for base in COLLECTIONS if issubclass(kind, base)), None)
        if base is None:
            return _held(value, most) if _is_record(kind) else []
    return [] if base is None else _inside(value, base, most)


def _inside(collection: Any, base: Any, most: int) -> list[Any]:
    # A subclass may have redefined its iteration.
    found = dict.values(collection) if base is dict else base.__iter__(collection)
    with suppress(RuntimeError):  # another thread changes it
        return list(itertools.islice(found, most))
    return []


def _held(holder: Any, most: int) -> list[Any]:
    """Up to `most` objects that a holder holds, directly or in the arguments, attributes and
    iterators that are only a part of it."""
    found: list[Any] = []
    opened, left = [holder], most
    while opened and left > 0:
        left -= 1
        each = opened.pop()
        kind = type(each)
        # The garbage collector would list the whole of a collection.
        inside = _inside(each, kind, most) if kind in (tuple, dict) else gc.get_referents(each)
        for one in inside:
            (opened if type(one) in (tuple, dict) or type(one) in _HOLDERS else found).append(one)
    return [one for one in found if not issubclass(type(one), type)][:most]


def _is_record(kind: type) -> bool:
    return any(mark in vars(base) for base in kind.__mro__ for mark in _RECORD_MARKS)
