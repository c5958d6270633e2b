"""Graphs as SVG, and numbers and times for people."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from fluxqueue_dashboard import formats
from fluxqueue_dashboard.graphs import HEIGHT, WIDTH, Line, ceiling, graph, spark


def test_a_graph_ends_at_its_right_edge_and_stays_inside() -> None:
    svg = ElementTree.fromstring(
        str(graph([0, 50, 100], [Line("waiting", "pending", [0, 5, 10])], 200))
    )
    [line] = [each for each in svg if each.tag == "polyline"]
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert [x for x, _ in points] == [WIDTH / 2, WIDTH * 0.75, WIDTH]
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert points[0][1] == HEIGHT and points[-1][1] >= 0
    assert svg.attrib["aria-label"] == "waiting: now 10, between 0 and 10"


def test_a_graph_has_a_gap_for_an_unknown_value() -> None:
    values = [1.0, 1.0, None, 1.0, 1.0]
    svg = ElementTree.fromstring(str(graph([0, 1, 2, 3, 4], [Line("x", "x", values)], 10)))
    assert len([each for each in svg if each.tag == "polyline"]) == 2


def test_a_graph_of_one_moment_says_that_it_begins() -> None:
    assert "begins" in graph([1.0], [Line("x", "x", [1.0])], 10)
    assert "<polyline" not in spark([1.0], "x")
    assert "<polyline" in spark([1.0, 1.0], "x")


def test_a_label_can_not_leave_its_attribute() -> None:
    assert "<b>" not in graph([1, 2], [Line('"><b>', '"><b>', [1, 2])], 10)


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (1, 1), (3, 5), (7, 10), (11, 20), (999_999, 1_000_000)]
)
def test_the_scale_ends_at_a_round_number(most: float, top: float) -> None:
    assert ceiling([Line("x", "x", [most, None])]) == top


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (formats.count(1_234_567), "1\u202f234\u202f567"),
        (formats.count(None), "?"),
        (formats.short_count(950), "950"),
        (formats.short_count(12_345), "12.3k"),
        (formats.short_count(4_000_000), "4M"),
        (formats.duration(0.35), "350\u202fms"),
        (formats.duration(4.21), "4.2\u202fs"),
        (formats.duration(300), "5\u202fmin"),
        (formats.duration(-3 * 86_400), "\u22123\u202fd"),
        (formats.duration(None), "\u2013"),
        (formats.rate(12.5), "12.5/s"),
        (formats.rate(0.05), "3/min"),
        (formats.rate(0), "0/s"),
        (formats.size(14_336), "14\u202fKiB"),
        (formats.moment(1_764_531_636), "2025-11-30 19:40:36 UTC"),
        (formats.moment(1e300), "\u2013"),
        (formats.iso(float("inf")), ""),
        (formats.shortened("abc", 2), "ab… (1 characters more)"),
        (formats.pretty({"ä": [1]}), '{\n  "ä": [\n    1\n  ]\n}'),
    ],
)
def test_numbers_and_times_are_short(shown: str, wanted: str) -> None:
    assert shown == wanted
