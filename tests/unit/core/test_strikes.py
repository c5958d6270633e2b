"""Strikes, and the paths by which they find an argument."""

from __future__ import annotations

from typing import Any

import pytest
from fluxqueue_core.argument_path import MISSING, find, is_same
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.strikes import MOST_BYTES, Strike, why_struck

ARGS: list[Any] = [{"id": 7, "lines": [{"sku": "a"}]}, [1, 2]]
KWARGS = {"user": {"name": "x"}, "0": "named"}
NAMES = ["order", "numbers"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("order.id", 7),
        ("order.lines.0.sku", "a"),
        ("1.1", 2),
        ("numbers.0", 1),
        ("user.name", "x"),
        ("0", "named"),
        ("order.none", MISSING),
        ("order.lines.1", MISSING),
        ("order.id.0", MISSING),
        ("numbers.-1", MISSING),
        ("numbers.²", MISSING),
        ("7", MISSING),
        ("none", MISSING),
        ("", MISSING),
    ],
)
def test_a_path_leads_to_a_value(path: str, value: Any) -> None:
    assert find(path, ARGS, KWARGS, NAMES) == value


def test_without_names_a_positional_argument_has_its_position_only() -> None:
    assert find("order.id", ARGS, {}) is MISSING
    assert find("0.id", ARGS, {}) == 7


def test_values_are_compared_as_json() -> None:
    assert is_same({"a": 1, "b": [2]}, {"b": [2], "a": 1})
    assert not is_same(1, True)
    assert not is_same(MISSING, None)
    assert is_same(None, None)


def test_a_record_is_read_as_it_was_written() -> None:
    for strike in (Strike("n"), Strike("n", "a.b", None), Strike("n", "0", {"é": [1.5, "x"]})):
        assert Strike.parse(strike.record()) == strike
        assert Strike.parse(strike.record()).id == strike.id  # type: ignore[union-attr]
    assert Strike("n").id != Strike("n", "a", None).id


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b"7", b'{"task":7}', b'{"argument":"a"}'])
def test_an_odd_record_stops_nothing(record: bytes) -> None:
    assert Strike.parse(record) is None
    assert why_struck([record], "n", [], {}) is None


def test_a_value_outside_json_and_a_long_one_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="not JSON"):
        Strike("n", "a", object()).record()
    with pytest.raises(ConfigurationError, match=f"more than {MOST_BYTES}"):
        Strike("n", "a", "x" * MOST_BYTES).record()


def test_a_strike_stops_the_tasks_that_it_means() -> None:
    whole, by_id = Strike("send"), Strike("send", "order.id", 7)
    assert whole.stops("send", [], {}) and not whole.stops("other", [], {})
    assert by_id.stops("send", ARGS, {}, NAMES)
    assert not by_id.stops("send", [{"id": 8}], {}, NAMES)
    assert not by_id.stops("send", [], {}, NAMES)
    why = why_struck([b"garbage", by_id.record()], "send", ARGS, {}, NAMES)
    assert why is not None and by_id.id in why and "7;" not in why
