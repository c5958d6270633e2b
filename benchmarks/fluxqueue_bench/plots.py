"""The plots of docs/benchmarks.md, as SVG: bars here, curves in `curves.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import curves
from .curves import OWN, PEER, say_not_measured
from .goals import Spreads

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
        "latency": curves.latency,
        "backlog": curves.backlog,
    }
    for name, plot in plots.items():
        figure = Figure(figsize=(8, 4), layout="constrained")
        plot(figure, found)
        path = folder / f"{name}.svg"
        figure.savefig(path, metadata={"Date": None})
        yield path


def _bars(axes: Axes, values: dict[str, float], unit: str) -> None:
    """One horizontal bar per library, the longest on top, on a logarithmic scale."""
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    if not values:
        say_not_measured(axes)
        return
    ordered = sorted(values.items(), key=lambda item: item[1])
    names = [name for name, _ in ordered]
    lengths = [value for _, value in ordered]
    colours = [OWN if name in ("fluxqueue", "fluxqueue_async") else PEER for name in names]
    bars = axes.barh(names, lengths, color=colours)
    axes.bar_label(bars, [f"{value:,.4g}" for value in lengths], padding=3)
    axes.set_xscale("log")
    axes.margins(x=0.2)


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
