"""The table of what middleware costs."""

from __future__ import annotations

from fluxqueue_bench.middleware import table


def test_each_kind_is_compared_with_its_own_in_the_same_round() -> None:
    times = {
        "none": [1.0, 2.0, 1.0],
        "three": [2.5, 3.5, 2.6],
        "async none": [2.0, 2.0, 2.0],
        "async three": [4.0, 4.0, 9.0],
    }
    assert table(times)[2:] == [
        "| none | 1.000 | 0.000 |",
        "| three | 2.600 | 1.500 |",
        "| async none | 2.000 | 0.000 |",
        "| async three | 4.000 | 2.000 |",
    ]
