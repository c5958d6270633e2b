"""The tasks that a selection chooses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fluxqueue_control.dead import DeadTask
from fluxqueue_control.selection import Selection
from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.task_ids import read_task_id
from support.scripts import message

# The time in the ids of `message`.
ENQUEUED = int("019aa0c27b1f", 16) / 1_000
NOW = ENQUEUED + 100


def raw(*args: Any, name: str = "n", kwargs: str = "") -> bytes:
    made = message(1, name=name, args=json.dumps(args).encode())
    return made[:-1] + f',"kwargs":{kwargs}}}'.encode() if kwargs else made


def death(reason: str = "failed", error: str = "KeyError: 1", exception: str = "KeyError") -> Any:
    return DeadTask(
        message(1)[13:49] + b'"', NOW - 10, 1, raw(), reason, error, None, exception, "a.py:1 in f"
    )


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(), True),
        (Selection(task="n"), True),
        (Selection(task="m"), False),
        (Selection(task="n*"), True),
        (Selection(task="*"), True),
        (Selection(task="nn*"), False),
        (Selection(older=99), True),
        (Selection(older=101), False),
        (Selection(younger=101), True),
        (Selection(younger=99), False),
        (Selection(argument="0.id", value=7), True),
        (Selection(argument="0.id", value="7"), False),
        (Selection(argument="user", value={"a": 1}), True),
        (Selection(argument="none", value=None), False),
        (Selection(task="n", argument="0.id", value=8), False),
        (Selection(reason="failed"), False),
        (Selection(id="019aa0c2-7b1f-7c3e-8d2a-000000000001"), True),
        (Selection(id="019AA0C2-7B1F-7C3E-8D2A-000000000001"), True),
        (Selection(id="019aa0c2-7b1f-7c3e-8d2a-000000000002"), False),
        (Selection(id="019aa0c2-7*"), True),
        (Selection(id="019aa0c3*"), False),
        (Selection(id="019aa0c2*", task="m"), False),
        (Selection(id="order-17"), False),
        (Selection(headers={"tenant": "acme"}), True),
        (Selection(headers={"tenant": "acme", "team": "mail"}), True),
        (Selection(headers={"tenant": "acm"}), False),
        (Selection(headers={"acme": "tenant"}), False),
        (Selection(headers={"tenant": "acme", "other": "x"}), False),
    ],
)
def test_a_task_that_waits_is_chosen_by_what_its_message_says(
    selection: Selection, wanted: bool
) -> None:
    of = raw({"id": 7}, kwargs='{"user":{"a":1}}')
    of = of[:-1] + b',"headers":{"team":"mail","tenant":"acme"}}'
    assert selection.wants(of, NOW) is wanted


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(reason="failed", exception="KeyError", error="Error: 1", task="n"), True),
        (Selection(reason="rejected"), False),
        (Selection(exception="ValueError"), False),
        (Selection(error="other"), False),
        (Selection(group="0123"), True),
        (Selection(older=9), True),
        (Selection(older=11), False),
        (Selection(younger=9), False),
        (Selection(task="m"), False),
    ],
)
def test_a_dead_task_is_chosen_by_how_and_when_it_died(selection: Selection, wanted: bool) -> None:
    assert selection.wants(raw(), NOW, death()) is wanted


@pytest.mark.parametrize("broken", [None, b"", b"no message"])
def test_an_unreadable_task_is_chosen_only_if_nothing_of_it_is_asked_for(
    broken: bytes | None,
) -> None:
    assert Selection().wants(broken, NOW)
    assert Selection(reason="failed", older=9).wants(broken, NOW, death())
    for selection in (Selection(task="n"), Selection(task="*"), Selection(argument="0", value=1)):
        assert not selection.wants(broken, NOW)
        assert not selection.wants(broken, NOW, death())
    assert not Selection(older=1).wants(broken, NOW)
    assert not Selection(headers={"a": "b"}).wants(broken, NOW, death())
    # Its entry has its id.
    assert Selection(id="019aa0c2*").wants(broken, NOW, death())
    assert not Selection(id="019aa0c2*").wants(broken, NOW)


def test_a_selection_is_read_as_it_was_written() -> None:
    for selection in (
        Selection(),
        Selection("n", "failed", "E", "x", "g", 1.5, 2.0, "a.b", {"c": [1]}, "0*", {"h": "v"}),
        Selection(id="order-17"),
    ):
        assert Selection.parse(selection.record()) == selection
    with pytest.raises(ConfigurationError, match="not JSON"):
        Selection(argument="a", value=object()).record()


@pytest.mark.parametrize("later", ['{"task":"n","later":1}', "[]", '{"id":"x*"}'])
def test_a_selection_with_an_unknown_condition_is_refused(later: str) -> None:
    with pytest.raises(ValueError, match=r"does not know all|no id begins"):
        Selection.parse(later)


@pytest.mark.parametrize(
    "wrong", ["*", "x*", "019aa0c27*", "019aa0c2-7b1f-7c3e-8d2a-0000000000012*"]
)
def test_the_beginning_of_no_id_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no id begins with .*019aa0c2\*"):
        Selection(id=wrong)


def test_the_text_of_a_call_names_its_task() -> None:
    assert Selection(id="order-17").id == read_task_id("order-17")
    assert Selection(id="019AA0C2*").id == "019aa0c2*"
