"""The plots of docs/benchmarks.md, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .goals import Spreads

_OWN = "#c2410c"
_PEER = "#64748b"

# So that the same results make the same file.
mpl.rcParams["svg.hashsalt"] = "fluxqueue"
mpl.rcParams["font.size"] = 9


def draw(found: Spreads, folder: Path) -> Iterator[Path]:
    """Draws every plot; yields the files that it has written."""
    folder.mkdir(parents=True, exist_ok=True)
    plots: dict[str, Callable[[Figure, Spreads], None]] = {
        "worker": _worker,
        "enqueue": _enqueue,
        "cpu": _cpu,
        "latency": _latency,
        "backlog": _backlog,
    }
    for name, plot in plots.items():
        figure = Figure(figsize=(8, 4), layout="constrained")
        plot(figure, found)
        path = folder / f"{name}.svg"
        figure.savefig(path, metadata={"Date": None})
        yield path


def _bars(axes: Axes, values: dict[str, float], unit: str) -> None:
    """One horizontal bar per library, the longest on top, on a logarithmic scale."""
    ordered = sorted(values.items(), key=lambda item: item[1])
    names = [name for name, _ in ordered]
    lengths = [value for _, value in ordered]
    colours = [_OWN if name in ("fluxqueue", "fluxqueue_async") else _PEER for name in names]
    bars = axes.barh(names, lengths, color=colours)
    axes.bar_label(bars, [f"{value:,.4g}" for value in lengths], padding=3)
    axes.set_xscale("log")
    axes.set_xlabel(unit)
    axes.margins(x=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def _of_all(
    found: Spreads, group: str, what: str, choose: Callable[[list[float]], float]
) -> dict[str, float]:
    by_library: dict[str, list[float]] = {}
    for (library, where, _, name), spread in found.items():
        if where == f"{group}, compared" and name == what:
            by_library.setdefault(library, []).append(spread.median)
    return {library: choose(values) for library, values in by_library.items()}


def _worker(figure: Figure, found: Spreads) -> None:
    axes = figure.add_subplot()
    _bars(axes, _of_all(found, "Worker", "tasks/s", max), "no-op tasks per second, best settings")


def _cpu(figure: Figure, found: Spreads) -> None:
    axes = figure.add_subplot()
    values = _of_all(found, "Worker", "worker CPU s/1k", min)
    _bars(axes, values, "worker CPU seconds per 1,000 tasks (less is better)")


def _enqueue(figure: Figure, found: Spreads) -> None:
    for place, (mode, title) in enumerate({"seq": "one at a time", "bulk": "bulk"}.items(), 1):
        axes = figure.add_subplot(1, 2, place)
        values = {
            library: spread.median
            for (library, group, name, what), spread in found.items()
            if (group, name, what) == ("Enqueue, compared", mode, "tasks/s")
        }
        _bars(axes, values, f"tasks per second, {title}")


def _latency(figure: Figure, found: Spreads) -> None:
    """p50 to p99 as a line, per library at its first settings."""
    axes = figure.add_subplot()
    rows = {}
    for (library, group, name, what), spread in found.items():
        if group == "Idle, compared" and what == "p50 ms" and library not in rows:
            high = found[library, group, name, "p99 ms"].median
            rows[library] = (spread.median, high)
    for place, (library, (low, high)) in enumerate(
        sorted(rows.items(), key=lambda item: -item[1][0])
    ):
        colour = _OWN if library.startswith("fluxqueue") else _PEER
        axes.plot([low, high], [place, place], color=colour, linewidth=3)
        axes.plot([low], [place], "o", color=colour)
        axes.annotate(library, (high, place), xytext=(5, -3), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_yticks([])
    axes.margins(x=0.2)
    axes.set_xlabel("ms from the call to the end of the task when idle: p50 (dot) to p99")
    axes.spines[["top", "right", "left"]].set_visible(False)


def _backlog(figure: Figure, found: Spreads) -> None:
    axes = figure.add_subplot()
    for what, label in (("enqueued/s", "enqueue, one at a time"), ("worked/s", "worker, no-op")):
        points = sorted(
            (int(name.split()[0].replace(",", "")), spread.median)
            for (_, group, name, unit), spread in found.items()
            if group == "Backlog" and unit == what and "delayed" not in name
        )
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tasks that wait already")
    axes.set_ylabel("tasks per second")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
