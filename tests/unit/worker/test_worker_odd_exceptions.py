"""The texts of exceptions that are hard to handle."""

from __future__ import annotations

import traceback

import pytest
from fluxqueue_core.telemetry.instruments import error_type
from fluxqueue_worker.error_text import ERROR_BYTES, describe
from fluxqueue_worker.traceback_text import TRACEBACK_BYTES, format_traceback
from support.odd_exceptions import ODD


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return caught


@pytest.mark.parametrize("name", ODD)
def test_each_exception_has_a_bounded_text_and_traceback(name: str) -> None:
    error = raised(ODD[name]())
    text, trace = describe(error), format_traceback(error)
    assert error_type(error)
    assert 0 < len(text.encode()) <= ERROR_BYTES
    assert 0 < len(trace.encode()) <= TRACEBACK_BYTES
    assert "can't be formatted" not in trace
    # The texts of the larger ones are cut at their beginning.
    if name not in ("wide group", "circles", "long chain", "many notes", "notes are no texts"):
        assert "raised" in trace or len(trace) > TRACEBACK_BYTES / 2


def test_ordinary_exceptions_look_as_those_of_python() -> None:
    def cause() -> None:
        raise ValueError("first")

    def fail() -> None:
        try:
            try:
                cause()
            except ValueError as error:
                raise KeyError("second") from error
        except KeyError:
            third = RuntimeError("third")
            third.add_note("a note")
            raise third  # noqa: B904 - its context is wanted

    for broken in (fail, lambda: eval("1 +"), lambda: eval("unknown_name"), lambda: "".unknown):  # type: ignore[attr-defined]
        try:
            broken()
        except Exception as error:  # noqa: BLE001
            found, expected = format_traceback(error), traceback.format_exc()
        assert found == expected


def test_a_long_chain_shows_its_ends() -> None:
    text = format_traceback(ODD["long chain"]())
    assert text.startswith("ValueError: number 0\n\nThe above exception was the direct cause")
    assert text.endswith("ValueError: number 4999\n")
    assert "[4984 more exceptions of this chain]" in text


def test_a_group_shows_its_first_members_and_says_how_many_more_it_has() -> None:
    text = format_traceback(raised(ODD["wide group"]()))
    assert text.startswith("Exception Group Traceback (most recent call last):")
    assert "ExceptionGroup: wide (5000 sub-exceptions)" in text
    assert "  | ValueError: 14\n" in text
    assert "  | [4985 more exceptions of this group]\n" in text
    assert "innermost" not in format_traceback(ODD["deep groups"]())
