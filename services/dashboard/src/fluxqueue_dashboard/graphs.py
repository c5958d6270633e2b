"""Graphs as SVG, made by the server: no script draws, and no style is inside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .formats import short_count

WIDTH, HEIGHT = 600, 120
_TOP = 6


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time; None for a moment without one.

    Attributes:
        kind: names the colour, as a class of the style sheet.
    """

    label: str
    kind: str
    values: Sequence[float | None]


def ceiling(lines: Sequence[Line]) -> float:
    """Returns a round number that no value exceeds."""
    most = max((value for line in lines for value in line.values if value is not None), default=0)
    size = 1.0
    while True:
        for step in (1, 2, 5):
            if most <= step * size:
                return step * size
        size *= 10


def graph(times: Sequence[float], lines: Sequence[Line], span: float) -> Markup:
    """Returns lines over the last `span` seconds. The newest value is at the right edge.

    Args:
        times: seconds, ascending; each line has a value for each of them.
    """
    if len(times) < 2:
        return Markup('<p class="graph-empty">Collecting: the graph begins in a moment.</p>')
    top, now = ceiling(lines), times[-1]
    xs = [WIDTH * (1 - (now - time) / span) for time in times]
    parts = [
        Markup(
            '<svg class="graph" viewBox="0 0 {} {}" preserveAspectRatio="none" '
            'role="img" aria-label="{}">'
        ).format(WIDTH, HEIGHT, _spoken(lines))
    ]
    for share in (0, 0.5, 1):
        parts.append(
            Markup('<line class="rule" x1="0" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
                WIDTH, y=_y(share, 1)
            )
        )
    for line in lines:
        for piece in _pieces(xs, line.values, top):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in piece)
            first, last = piece[0][0], piece[-1][0]
            area = f"{first:.1f},{HEIGHT} {points} {last:.1f},{HEIGHT}"
            parts.append(Markup('<polygon class="area {}" points="{}"/>').format(line.kind, area))
            parts.append(Markup('<polyline class="{}" points="{}"/>').format(line.kind, points))
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def spark(values: Sequence[float | None], kind: str) -> Markup:
    """Returns a small line without a scale: decoration next to a number."""
    known = [(at, value) for at, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return Markup('<svg class="spark" viewBox="0 0 100 24" aria-hidden="true"></svg>')
    low, high = min(v for _, v in known), max(v for _, v in known)
    spread = (high - low) or 1
    # A line that does not change is in the middle.
    base = 12 if high == low else 22
    points = " ".join(
        f"{100 * at / (len(values) - 1):.1f},{base - 20 * (value - low) / spread:.1f}"
        for at, value in known
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">'
        '<polyline class="{}" points="{}"/></svg>'
    ).format(kind, points)


def _y(value: float, top: float) -> float:
    return HEIGHT - (HEIGHT - _TOP) * value / top


def _pieces(
    xs: Sequence[float], values: Sequence[float | None], top: float
) -> list[list[tuple[float, float]]]:
    """The points of a line, in a new list after each moment without a value."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, value in zip(xs, values, strict=True):
        if value is None or x < 0:
            if pieces[-1]:
                pieces.append([])
        else:
            pieces[-1].append((x, _y(value, top)))
    return [piece for piece in pieces if len(piece) > 1]


def _spoken(lines: Sequence[Line]) -> str:
    said = []
    for line in lines:
        known = [value for value in line.values if value is not None]
        if known:
            said.append(
                f"{line.label}: now {short_count(known[-1])}, between "
                f"{short_count(min(known))} and {short_count(max(known))}"
            )
    return "; ".join(said) or "no values"
