"""The numbers at the top of a page, and its graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fluxqueue_control.histogram import TimeHistogram

from . import formats
from .graphs import Line
from .rendering import address
from .snapshot import RATES, SPAN, Past, Snapshot

_STATES = {"pending": "Waiting", "claimed": "Running", "delayed": "Delayed", "dead": "Dead"}


@dataclass(frozen=True, slots=True)
class Tile:
    """A number with its past.

    Attributes:
        text: stands for the number, such as a rate with its unit.
    """

    label: str
    kind: str
    value: int | None = None
    past: Sequence[float | None] = ()
    note: str = ""
    link: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph with its heading."""

    title: str
    lines: Sequence[Line]


def tiles(past: Past, snapshot: Snapshot, name: str | None) -> list[Tile]:
    """Returns the numbers of all queues, or of one."""
    suspects, oldest = snapshot.total("suspects", name), snapshot.oldest(name)
    said = [f"{suspects} suspects"] if suspects else []
    if oldest is not None:
        said.append(f"the oldest for {formats.duration(oldest)}")
    notes = {"pending": ", ".join(said)}
    links = {"dead": address("/dead", queue=name)}
    counts = [
        Tile(
            label,
            state,
            snapshot.total(state, name),
            past.values(state, name),
            notes.get(state, ""),
            links.get(state, ""),
        )
        for state, label in _STATES.items()
    ]
    return [*counts, *_counted(past, snapshot, name)]


def _counted(past: Past, snapshot: Snapshot, name: str | None) -> list[Tile]:
    """The numbers that workers count."""
    window = snapshot.window(name)
    if window is None:
        labels = {"rate": "Throughput", "wait": "Wait, median", "run": "Run time, median"}
        note = "no worker counts yet"
        return [
            Tile(label, kind, text=formats.NOTHING, note=note) for kind, label in labels.items()
        ]
    ends = window.numbers.ends
    failed, total = ends.retried + ends.dead, ends.succeeded + ends.retried + ends.dead
    note = f"{failed / total:.1%} failed" if failed else ""
    rate = past.values("succeeded", name)
    return [
        Tile("Throughput", "rate", past=rate, note=note, text=formats.rate(window.rate)),
        _time("Wait, median", "wait", window.numbers.wait),
        _time("Run time, median", "run", window.numbers.run),
    ]


def _time(label: str, kind: str, times: TimeHistogram) -> Tile:
    if not times.count:
        return Tile(label, kind, text=formats.NOTHING, note="nothing in the last minute")
    median, most = times.percentile(50), times.percentile(95)
    return Tile(label, kind, text=formats.duration(median), note=f"95%: {formats.duration(most)}")


def graphs(past: Past, name: str | None) -> dict[str, Any]:
    """Returns the graphs of all queues, or of one."""
    states = {"pending": "waiting", "claimed": "running", "delayed": "delayed"}
    kinds = {"succeeded": "good", "retried": "warn", "died": "dead"}
    return {
        "times": list(past.times),
        "span": SPAN,
        "graphs": [
            Graph("Tasks", _lines(past, name, {k: (label, k) for k, label in states.items()})),
            Graph("Ends per second", _lines(past, name, {k: (k, kinds[k]) for k in RATES})),
        ],
    }


def _lines(past: Past, name: str | None, of: dict[str, tuple[str, str]]) -> list[Line]:
    return [Line(label, kind, past.values(each, name)) for each, (label, kind) in of.items()]
