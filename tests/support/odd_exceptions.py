"""Exceptions that are hard to handle: their attributes, their class or their text raise, or
are huge. Tasks of tests raise them by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn


def gone(*_: Any) -> NoReturn:
    raise ConnectionError("the other side is gone")


class Quits(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")


class Interrupts(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class LazyText(str):
    """A text that can be looked at only by the methods of `str` itself."""

    __slots__ = ()
    __format__ = __str__ = __repr__ = __len__ = __getitem__ = encode = gone  # type: ignore


class Texts(Exception):
    def __str__(self) -> str:
        return LazyText("lazy")


class Everything(Exception):
    __getattribute__ = gone
    __setattr__ = gone
    __eq__ = __hash__ = __bool__ = gone


class OddMeta(type):
    __module__ = __name__ = property(gone)
    __getattribute__ = gone


class OfOddClass(Exception, metaclass=OddMeta):
    pass


def with_property(name: str, base: type[BaseException] = Exception) -> BaseException:
    kind: type[BaseException] = type(f"With{name}", (base,), {name: property(gone)})
    return kind("odd")


def with_notes(notes: object) -> BaseException:
    error = ValueError("noted")
    error.__notes__ = notes  # type: ignore[assignment]
    return error


def with_long_chain() -> BaseException:
    error = ValueError("number 0")
    for number in range(1, 5000):
        following = ValueError(f"number {number}")
        following.__cause__ = error
        error = following
    return error


def with_circles() -> BaseException:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__context__ = second, first
    return ExceptionGroup("circles", [first, ExceptionGroup("inner", [second, first])])


def with_deep_groups() -> BaseException:
    error: Exception = ValueError("innermost")
    for depth in range(900):
        error = ExceptionGroup(f"depth {depth}", [error])
    return error


def with_odd_module() -> BaseException:
    error: BaseException = type("OddName", (Exception,), {"__module__": 3})("odd")
    return error


ODD: dict[str, Callable[[], BaseException]] = {
    "text raises SystemExit": lambda: Quits(),
    "text raises KeyboardInterrupt": lambda: Interrupts(),
    "text is lazy": lambda: Texts(),
    "text is huge": lambda: ValueError("x" * 50_000_000),
    "text has surrogates": lambda: ValueError("\ud800\udfff"),
    "everything raises": lambda: Everything(),
    "class is odd": lambda: OfOddClass("odd"),
    "module is odd": with_odd_module,
    "__class__": lambda: with_property("__class__"),
    "__traceback__": lambda: with_property("__traceback__"),
    "__cause__": lambda: with_property("__cause__"),
    "__context__": lambda: with_property("__context__"),
    "__notes__": lambda: with_property("__notes__"),
    "__dict__": lambda: with_property("__dict__"),
    "args": lambda: with_property("args"),
    "name of an AttributeError": lambda: with_property("name", AttributeError),
    "lines of a SyntaxError": lambda: with_property("text", SyntaxError),
    "members of a group": lambda: type(
        "OddGroup", (ExceptionGroup,), {"exceptions": property(gone)}
    )("odd", [ValueError("member")]),
    "notes are no texts": lambda: with_notes([3, LazyText("x"), "y" * 10_000_000]),
    "notes are no list": lambda: with_notes(LazyText("x")),
    "many notes": lambda: with_notes(["note"] * 1_000_000),
    "long chain": with_long_chain,
    "circles": with_circles,
    "deep groups": with_deep_groups,
    "wide group": lambda: ExceptionGroup("wide", [ValueError(str(i)) for i in range(5000)]),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("base", [KeyboardInterrupt(), SystemExit()]),
    "BaseException": lambda: BaseException("base"),
    "SystemExit": lambda: SystemExit(7),
    "KeyboardInterrupt": lambda: KeyboardInterrupt(),
    "GeneratorExit": lambda: GeneratorExit(),
    "StopIteration": lambda: StopIteration(3),
    "StopAsyncIteration": lambda: StopAsyncIteration(),
    "CancelledError": lambda: asyncio.CancelledError("by the task"),
    "code of a SystemExit": lambda: with_property("code", SystemExit),
    "MemoryError": lambda: MemoryError(),
    "RecursionError": lambda: RecursionError(),
}
