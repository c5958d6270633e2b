"""The results of a task that still have to run, and those that only look like it."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import sqlite3
import types
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from fluxqueue_worker.unawaited import unawaited


async def work(*args: object) -> None: ...


def rows() -> Iterator[int]:
    yield 1


@contextlib.contextmanager
def locked() -> Iterator[None]:
    yield


@contextlib.asynccontextmanager
async def locked_async() -> AsyncIterator[None]:
    yield


@dataclass
class Record:
    first: object
    second: object = None


@dataclass(slots=True)
class Slotted:
    first: object


class Struct(msgspec.Struct):
    first: object


class Client:
    def __init__(self, rows: object) -> None:
        self.rows = rows


HAVE_TO_RUN: dict[str, Callable[[], object]] = {
    "islice": lambda: itertools.islice(rows(), 3),
    "chain": lambda: itertools.chain(rows(), [1]),
    "chain of a generator": lambda: itertools.chain.from_iterable(rows() for _ in range(2)),
    "zip": lambda: zip([1], rows(), strict=False),
    "zip of a map": lambda: zip([1], map(str, [1]), strict=False),
    "enumerate": lambda: enumerate(rows()),
    "iterator of a list": lambda: iter([work()]),
    "iterator of items": lambda: iter({1: work()}.items()),
    "reversed": lambda: reversed([work()]),
    "cycle": lambda: itertools.cycle(rows()),
    "pairwise": lambda: itertools.pairwise(rows()),
    "longest": lambda: itertools.zip_longest(rows(), [1]),
    "repeat": lambda: itertools.repeat(work()),
    "tee": lambda: itertools.tee(rows())[0],
    "three deep": lambda: enumerate(zip(itertools.islice(rows(), 2), strict=False)),
    "until a sentinel": lambda: iter(rows, 1),
    "in a list": lambda: [{"a": itertools.chain(rows())}],
    "partial with a generator": lambda: functools.partial(list, rows()),
    "partial with a keyword": lambda: functools.partial(print, end=work()),
    "partial of an async def": lambda: functools.partial(work, 1),
    "partial of a generator": lambda: [functools.partial(rows)],
    "record": lambda: Record(1, work()),
    "records": lambda: Record(Record([rows()])),
    "slotted": lambda: Slotted(rows()),
    "struct": lambda: Struct(rows()),
    "namespace": lambda: types.SimpleNamespace(a=rows()),
    "context manager": locked,
    "async context manager": locked_async,
}


@pytest.mark.parametrize("name", HAVE_TO_RUN)
def test_a_result_that_holds_code_to_run_is_a_failure(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = unawaited(HAVE_TO_RUN[name]())
        gc.collect()
    assert str(error).startswith("the task returned ")
    assert "nothing runs" in str(error) or "nothing calls" in str(error)


def of_a_read_slice() -> object:
    found = itertools.islice(rows(), 2)
    list(found)
    return found


FINISHED: dict[str, Callable[[], object]] = {
    "read to its end": of_a_read_slice,
    "zip": lambda: zip([1], [2], strict=True),
    "count": itertools.count,
    "product": lambda: itertools.product([1], [2]),
    "iterator": lambda: iter([1, 2]),
    "long iterator": lambda: iter(range(10**12)),
    "file": lambda: open(__file__),  # noqa: SIM115
    "cursor": lambda: sqlite3.connect(":memory:").execute("select 1"),
    "rows of a cursor": lambda: zip(sqlite3.connect(":memory:").execute("select 1"), strict=True),
    # Its work may be done, and the generator a part of how it works.
    "object": lambda: Client(rows()),
    "function": lambda: work,
    "partial": lambda: functools.partial(print, 1),
    "record": lambda: Record(1, {"a": [None]}),
    "class": lambda: Record,
}


@pytest.mark.parametrize("name", FINISHED)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_result_without_code_to_run_is_a_success(name: str) -> None:
    assert unawaited(FINISHED[name]()) is None


def test_a_result_is_not_advanced_and_its_attributes_are_not_read() -> None:
    read: list[object] = []

    def numbers() -> Iterator[int]:
        read.append("numbers")
        yield 1

    @dataclass
    class Lazy:
        rows: Any

        def __getattribute__(self, name: str) -> Any:
            read.append(name)
            return object.__getattribute__(self, name)

    for result in (zip(numbers(), strict=True), Lazy(itertools.chain(numbers()))):
        assert unawaited(result) is not None
    assert read == []
