"""Reports of progress and checkpoints in a context that no worker has made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from fluxqueue import Context, Progress, TaskMetadata
from fluxqueue.progress import decode, encode, is_report

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Record:
    share: float | None


@dataclass(slots=True)
class SlottedRecord:
    share: float | None


class Ratio(Enum):
    NONE = math.nan


@pytest.fixture
def ctx() -> Context:
    return Context(TaskMetadata("id", 0, 3, NOW), {})


def test_a_report_is_read_as_it_was_written() -> None:
    before = datetime.now(UTC)
    report = encode(3, 12.5, "half")
    assert is_report(report) and not is_report(b'{"state":"succeeded"}') and not is_report(b"")
    progress = decode(report)
    assert (progress.done, progress.total, progress.note) == (3, 12.5, "half")
    assert abs((progress.at - before).total_seconds()) < 60
    assert decode(encode(0, None, "")) == Progress(0, None, "", decode(encode(0, None, "")).at)


@pytest.mark.parametrize(
    ("done", "total", "fraction"),
    [(1, 4, 0.25), (5, 4, 1.0), (0, 4, 0.0), (3, None, None), (3, 0, None)],
)
def test_the_fraction_is_a_share(done: float, total: float | None, fraction: float | None) -> None:
    assert Progress(done, total, "", NOW).fraction == fraction


def test_a_note_is_cut_and_made_text() -> None:
    assert decode(encode(0, 1, "\U0001f600" * 1001)).note == "\U0001f600" * 1000
    assert decode(encode(0, 1, 'a"\ud800')).note == 'a"?'


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((-1, 5), ValueError, "done is -1; give a finite number"),
        ((math.nan, 5), ValueError, "done is nan"),
        ((1, math.inf), ValueError, "total is inf"),
        ((2**63, None), ValueError, r"done is 9223372036854775808; .* below 2\*\*63"),
        ((10**5000, None), ValueError, "done is too large to print"),
        (("1", 5), TypeError, "done is str; give an int or a float"),
        ((True, 5), TypeError, "done is bool"),
        ((1, "5"), TypeError, "total is str"),
        ((1, 5, b"x"), TypeError, "note is bytes; give a str"),
    ],
)
def test_wrong_arguments_are_refused(
    ctx: Context, arguments: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        ctx.progress(*arguments)


def test_without_a_worker_a_context_keeps_its_checkpoint(ctx: Context) -> None:
    ctx.progress(1, 2, "no effect")
    assert Context(ctx.metadata, {}).last_checkpoint is None
    ctx.checkpoint({"row": (1, 2)})
    assert ctx.last_checkpoint == {"row": [1, 2]}
    ctx.checkpoint([Record(None), SlottedRecord(None)])
    assert ctx.last_checkpoint == [{"share": None}, {"share": None}]


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        ({1}, TypeError, "can't be saved as JSON: Type is not JSON serializable: set"),
        ([math.nan], ValueError, "no NaN"),
        ({"a": Record(math.inf)}, ValueError, "no NaN"),
        (SlottedRecord(math.nan), ValueError, "no NaN"),
        (Ratio.NONE, ValueError, "no NaN"),
    ],
)
def test_a_checkpoint_must_be_json(
    ctx: Context, value: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        ctx.checkpoint(value)
