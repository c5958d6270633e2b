"""The traceback of any exception as text, bounded in time and memory.

It looks much as Python's own. The module `traceback` formats the frames, and the exceptions whose
text it alone knows (syntax errors, suggestions of names). It can't format the rest: it reads
attributes that an exception's class may have redefined, and it collects everything that is
linked to an exception before the first line, a group's ten thousand members included.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from fluxqueue_core.exception_text import is_a, members_of, plain, traceback_of

from .error_text import describe, headline, is_own

TRACEBACK_BYTES = 32 * 1024
TRACEBACK_FRAMES = 100
# Of a chain of exceptions, how many are shown at each of its ends.
CHAIN_ENDS = 8
# How many members of a group are shown, how deep, and how many exceptions in all.
GROUP_MEMBERS = 15
GROUP_DEPTH = 10
EXCEPTIONS = 100
NOTES = 20
# Characters of the text of an exception, and of a note.
TEXT_LENGTH = 8 * 1024

FORMATTED = (SyntaxError, NameError, AttributeError, ImportError)

CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"

_stored = BaseException.__dict__
_cause: Callable[[BaseException], BaseException | None] = _stored["__cause__"].__get__
_context: Callable[[BaseException], BaseException | None] = _stored["__context__"].__get__
_suppresses_context: Callable[[BaseException], bool] = _stored["__suppress_context__"].__get__
_attributes: Callable[[BaseException], dict[str, Any]] = _stored["__dict__"].__get__


def format_traceback(error: BaseException) -> str:
    """The traceback without the worker's own frames at its beginning; at most its
    last 32 KiB."""
    try:
        text = "".join(_Formatter().chain(error))
    except BaseException as failure:  # noqa: BLE001 - of a loader that has the source lines
        text = f"{describe(error)}\nThe traceback can't be formatted: {describe(failure)}\n"
    encoded = text[-TRACEBACK_BYTES:].encode("utf-8", "backslashreplace")
    return encoded[-TRACEBACK_BYTES:].decode("utf-8", "ignore")


class _Formatter:
    """Formats one exception with everything that is linked to it."""

    def __init__(self) -> None:
        self._left = EXCEPTIONS
        self._seen: set[int] = set()

    def chain(self, error: BaseException, depth: int = 0) -> Iterator[str]:
        """The lines of an exception, after those of the exceptions that led to it."""
        links = self._links(error)
        hidden = len(links) - 2 * CHAIN_ENDS
        for index, (link, joint) in reversed(list(enumerate(links))):
            if 0 <= index - CHAIN_ENDS < hidden:
                if index == CHAIN_ENDS:
                    yield f"\n[{hidden} more exceptions of this chain]\n{joint}"
                continue
            yield from self._one(link, depth)
            yield joint

    def _links(self, error: BaseException) -> list[tuple[BaseException, str]]:
        """The exception and those that led to it, newest first, each with the text between
        it and the one before it."""
        links = []
        link: BaseException | None = error
        joint = ""
        while link is not None and id(link) not in self._seen:
            self._seen.add(id(link))
            links.append((link, joint))
            if (cause := _cause(link)) is not None:
                link, joint = cause, CAUSE
            else:
                link, joint = (None if _suppresses_context(link) else _context(link)), CONTEXT
        return links

    def _one(self, error: BaseException, depth: int) -> Iterator[str]:
        self._left -= 1
        first = _of_application(error)
        is_group = is_a(error, BaseExceptionGroup)
        if first is not None:
            yield f"{'Exception Group ' if is_group else ''}Traceback (most recent call last):\n"
            yield from traceback.extract_tb(first, limit=-TRACEBACK_FRAMES).format()
        yield from _text(error)
        if is_group:
            yield from self._group(members_of(error), depth + 1)

    def _group(self, members: Sequence[BaseException], depth: int) -> Iterator[str]:
        shown = 0
        if depth <= GROUP_DEPTH:
            for member in members[:GROUP_MEMBERS]:
                if self._left <= 0:
                    break
                shown += 1
                yield f"  +---------------- {shown} ----------------\n"
                for block in self.chain(member, depth):
                    for line in block.splitlines():
                        yield f"  | {line}\n"
        if shown < len(members):
            yield f"  | [{len(members) - shown} more exceptions of this group]\n"
        yield "  +------------------------------------\n"


def _of_application(error: BaseException) -> TracebackType | None:
    """The traceback of an exception without the worker's own frames at its beginning."""
    first = traceback_of(error)
    while first is not None and is_own(first.tb_frame):
        first = first.tb_next
    return first


def _text(error: BaseException) -> Iterator[str]:
    """The lines of the exception itself: its type and text, and its notes."""
    yield from _standard_text(error) or [headline(error, TEXT_LENGTH) + "\n"]
    notes = _attributes(error).get("__notes__")
    if is_a(notes, list):
        for note in list.__getitem__(notes, slice(NOTES)):
            yield (plain(note, TEXT_LENGTH) if is_a(note, str) else "<not a text>") + "\n"


def _standard_text(error: BaseException) -> list[str] | None:
    """The lines of an exception whose text `traceback` alone knows, without its notes."""
    if (
        not issubclass(type(error), FORMATTED)
        or _cause(error) is not None
        or _context(error) is not None
    ):
        return None
    try:
        found = traceback.TracebackException(type(error), error, traceback_of(error), limit=0)
        found.__notes__ = None
        return [plain(line, TEXT_LENGTH) for line in found.format_exception_only()]
    except BaseException:  # noqa: BLE001 - of an attribute that the class has redefined
        return None
