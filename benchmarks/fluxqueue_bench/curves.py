"""The plots that are curves: the distribution of latency, and what a backlog costs."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.typing import ColorType

from .costs import backlog_costs
from .distribution import LONGEST, curve, height
from .goals import Spreads
from .results import Spread

OWN, ASYNC, PEER = "#c2410c", "#7c3aed", "#64748b"
_OWN_LIBRARIES = {"fluxqueue": OWN, "fluxqueue_async": ASYNC}
# Of FluxQueue's own measures: those of one panel, each with its colour.
_OWN_LATENCIES = {
    "PING, 10 ms apart": "#0f172a",
    "idle, concurrency 4": OWN,
    "idle, async tasks, concurrency 4": ASYNC,
    "latency at half load": "#0369a1",
}
_TICKS = (0, 50, 90, 99, 99.9, 99.99)


def latency(figure: Figure, found: Spreads) -> None:
    """Percentile curves: all libraries when idle, and FluxQueue idle and at half load."""
    figure.set_size_inches(8, 5.2)
    left, right = figure.subplots(1, 2)
    compared = _first_settings(found)
    ordered = sorted(compared, key=lambda library: _median(compared[library]))
    colours = iter(mpl.colormaps["tab20"].resampled(20)(range(20)))
    for library in ordered:
        own = _OWN_LIBRARIES.get(library)
        _curve(left, compared[library], library, own or next(colours), "-", 2.4 if own else 1.1)
    _finish(left, "idle, beside the peers", bool(ordered), 3)
    shown = False
    for name, colour in _OWN_LATENCIES.items():
        group = "Worker" if name == "latency at half load" else "Idle"
        points = curve(_values(found, "fluxqueue", group, name))
        if points:
            _curve(right, points, name, colour, ":" if "PING" in name else "-", 1.8)
            shown = True
    _finish(right, "FluxQueue, idle and at half load", shown, 2)
    left.set_ylabel("of the tasks took no longer")


def _values(found: Spreads, library: str, group: str, name: str) -> dict[str, float]:
    """The medians of one row, by their names."""
    return {
        what: spread.median
        for (who, where, row, what), spread in found.items()
        if (who, where, row) == (library, group, name)
    }


def _first_settings(found: Spreads) -> dict[str, list[tuple[float, float]]]:
    """Of each library that was measured when idle, at its first settings."""
    first: dict[str, str] = {}
    for library, group, name, _ in found:
        if group == "Idle, compared":
            first.setdefault(library, name)
    curves = {
        library: curve(_values(found, library, "Idle, compared", name))
        for library, name in first.items()
    }
    return {library: points for library, points in curves.items() if points}


def _median(points: list[tuple[float, float]]) -> float:
    return min(points, key=lambda point: abs(point[0] - 50))[1]


def _curve(
    axes: Axes,
    points: list[tuple[float, float]],
    label: str,
    colour: ColorType,
    style: str,
    width: float,
) -> None:
    """One line; its end, a dot, is the longest."""
    finest = max(level for level, _ in points if level < LONGEST)
    heights = [height(level, finest) for level, _ in points]
    delays = [delay for _, delay in points]
    axes.plot(delays, heights, color=colour, linestyle=style, linewidth=width, label=label)
    axes.plot(delays[-1:], heights[-1:], "o", color=colour, markersize=3.5)


def _finish(axes: Axes, title: str, shown: bool, columns: int) -> None:
    axes.set_title(title, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    if not shown:
        say_not_measured(axes)
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.tick_params(axis="x", labelsize=7)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda delay, _: f"{delay:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("ms from the call to the end of the task (dot: the longest)", fontsize=8)
    top = axes.get_ylim()[1]
    ticks = [level for level in _TICKS if height(level, 0) < top]
    axes.set_yticks([height(level, 0) for level in ticks], [f"{level:g} %" for level in ticks])
    axes.grid(color="#e2e8f0", linewidth=0.6)
    axes.legend(
        frameon=False, fontsize=7, ncols=columns, loc="upper center", bbox_to_anchor=(0.45, -0.14)
    )


def say_not_measured(axes: Axes) -> None:
    """Writes "not measured" in place of a plot without rows."""
    axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")


def backlog(figure: Figure, found: Spreads) -> None:
    """Draws µs per task against the number of waiting tasks, with delayed ones apart."""
    panels = {"worked/s": "worker, no-op", "enqueued/s": "enqueue, one at a time"}
    for axes, (what, title) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        cases = backlog_costs(found, what)
        _errors(
            axes, ((n, cost) for n, delayed, cost in cases if not delayed), "o-", OWN, "waiting"
        )
        # A little to the right of those with as many that wait and none delayed.
        late = [(n * 1.4, cost) for n, delayed, cost in cases if delayed]
        _errors(axes, late, "D", PEER, "and 1,000,000 delayed")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("tasks that wait already")
        axes.set_ylabel("µs for a task: median, least to most")
        axes.spines[["top", "right"]].set_visible(False)
        if not cases:
            say_not_measured(axes)
            continue
        base = cases[0][2].median
        axes.axhline(
            base * 1.1, color=PEER, linestyle=":", linewidth=1, label="10 % above the first"
        )
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8, loc="lower right")


def _errors(
    axes: Axes, points: Iterable[tuple[float, Spread]], style: str, colour: str, label: str
) -> None:
    """Each with its range."""
    found = list(points)
    if not found:
        return
    axes.errorbar(
        [n for n, _ in found],
        [cost.median for _, cost in found],
        [
            [cost.median - cost.low for _, cost in found],
            [cost.high - cost.median for _, cost in found],
        ],
        fmt=style,
        color=colour,
        label=label,
        capsize=3,
    )
