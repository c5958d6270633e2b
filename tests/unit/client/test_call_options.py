"""The checks of a call's options, and how later ones replace earlier ones."""

from __future__ import annotations

import copy
import enum
import pickle
import re
import uuid
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import ConfigurationError, FluxQueue, peer_names
from fluxqueue.call_options import CallOptions, read_options
from fluxqueue.option_checks import LONGEST_DELAY

app = FluxQueue("redis://127.0.0.1:1")
ID = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab"
NOW = datetime.now(UTC)
EAST = timezone(timedelta(hours=2))


@app.task(queue="mails", max_retries=5, timeout=30)
def send(to: str, *, delay: int = 0) -> int:
    return 1


@app.task()
async def notify(user: int) -> str:
    return ""


def read(**options: Any) -> dict[str, Any]:
    return read_options({}, CallOptions(**options))  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ({"delay": 60}, {"delay": 60_000}),
        ({"delay": 0.25}, {"delay": 250}),
        ({"delay": 0.0001}, {"delay": 1}),
        ({"delay": 0}, {"delay": 0}),
        ({"delay": timedelta(minutes=1, microseconds=1)}, {"delay": 60_001}),
        ({"eta": datetime(2026, 1, 1, tzinfo=UTC)}, {"eta": 1_767_225_600_000}),
        ({"eta": datetime(2026, 1, 1, 2, tzinfo=EAST)}, {"eta": 1_767_225_600_000}),
        ({"eta": datetime(2026, 1, 1, 0, 0, 0, 1, UTC)}, {"eta": 1_767_225_600_001}),
        ({"eta": datetime(1960, 1, 1, tzinfo=UTC)}, {"eta": 0}),
        ({"queue": "a", "max_retries": 0, "timeout": 0.5, "priority": 9},) * 2,
        ({"expires": 3_600}, {"expires": 3_600}),
        ({"expires": timedelta(minutes=1)}, {"expires": 60.0}),
        ({"expires": datetime(2026, 1, 1, tzinfo=UTC)}, {"expires_at": 1_767_225_600_000}),
        ({"task_id": uuid.UUID(ID)}, {"task_id": ID}),
        ({"headers": {"a": "ü"}},) * 2,
        ({"delay": None, "eta": None, "queue": None, "headers": None, "task_id": None}, {}),
    ],
)
def test_options_are_read(given: dict[str, Any], read_as: dict[str, Any]) -> None:
    assert read(**given) == read_as


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"delay": -1}, ConfigurationError, "delay is -1; give seconds from 0 to 31536000"),
        ({"delay": float("nan")}, ConfigurationError, "delay is nan"),
        ({"delay": LONGEST_DELAY + 1}, ConfigurationError, "a year"),
        ({"delay": 10**5000}, ConfigurationError, "too large to print"),
        ({"delay": timedelta(seconds=-1)}, ConfigurationError, "give 0 to 365 days"),
        ({"delay": timedelta(days=366)}, ConfigurationError, "give 0 to 365 days"),
        ({"delay": "60"}, TypeError, "delay must be seconds or a timedelta, not str"),
        ({"delay": True}, TypeError, "not bool"),
        ({"eta": datetime(2026, 1, 1)}, ConfigurationError, "eta is .*, without a time zone"),
        ({"eta": 5}, TypeError, "eta must be a datetime, not int"),
        (
            {"delay": 1, "eta": datetime.now(UTC)},
            ConfigurationError,
            "delay and eta are both given",
        ),
        ({"queue": 5}, TypeError, "the queue must be a str, not int"),
        ({"queue": "a b"}, ConfigurationError, "a b"),
        ({"max_retries": -1}, ConfigurationError, "max_retries is -1"),
        ({"max_retries": True}, TypeError, "max_retries must be an int, not bool"),
        ({"priority": 10}, ConfigurationError, r"priority is 10; give 0 \(the lowest\) to 9"),
        ({"priority": True}, TypeError, "priority must be an int, not bool"),
        ({"timeout": 0}, ConfigurationError, r"timeout is 0; .*, or None for the task's own$"),
        ({"expires": 0}, ConfigurationError, "expires is 0; give seconds above 0"),
        ({"expires": timedelta()}, ConfigurationError, "expires is 0:00:00; give more than 0"),
        ({"expires": timedelta(days=366)}, ConfigurationError, "expires is 366 days, 0:00:00; "),
        (
            {"expires": "60"},
            TypeError,
            "expires must be seconds, a timedelta, an aware datetime or None, not str",
        ),
        (
            {"expires": datetime.max.replace(tzinfo=UTC)},
            ConfigurationError,
            r"expires is 9999-12-31 .*, too far in the future; give a moment before 2286-11-20",
        ),
        ({"expires": NOW.replace(tzinfo=None)}, ConfigurationError, "without a time zone"),
        (
            {"expires": 30, "delay": 60},
            ConfigurationError,
            "delay is 60 s, and no call begins after expires=30 s; give a longer expires",
        ),
        ({"expires": 60, "delay": timedelta(minutes=1)}, ConfigurationError, "delay is 60 s"),
        ({"expires": NOW, "eta": NOW}, ConfigurationError, "eta is not before expires"),
        ({"task_id": ""}, ConfigurationError, "task_id has 0 characters"),
        ({"task_id": 17}, TypeError, "task_id must be a str or a uuid.UUID"),
        ({"headers": [("a", "b")]}, TypeError, "headers must be a mapping of strings, not list"),
        ({"headers": {"a": 1}}, TypeError, "header 'a' is int"),
        ({"headers": {1: "a"}}, TypeError, "the name 1 of a header is int"),
        ({"headers": {"a": "\ud800"}}, ConfigurationError, "lone surrogate"),
        ({"headers": {str(n): "" for n in range(33)}}, ConfigurationError, "at most 32"),
        ({"headers": {"a": "x" * 16_384}}, ConfigurationError, "16385 bytes"),
        ({"countdown": 5}, TypeError, r"options\(\) has no option 'countdown'; did you mean delay"),
        ({"dely": 5}, TypeError, "did you mean delay"),
        ({"xyz": 5}, TypeError, "it takes delay, eta, queue"),
    ],
)
@pytest.mark.parametrize(
    "task", [send, notify, send.options(queue="x")], ids=lambda task: repr(task)
)
def test_a_wrong_option_is_an_error_that_names_it(
    task: Any, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        task.options(**options)


def test_later_options_win_and_none_removes_one() -> None:
    first = send.options(delay=60, queue="a", max_retries=1)
    second = first.options(queue="b", timeout=5)
    assert second._options == {"delay": 60_000, "queue": "b", "max_retries": 1, "timeout": 5}
    assert (second.queue, second.task_name) == ("b", "send")
    assert second.options(eta=datetime(1970, 1, 1, tzinfo=UTC), queue=None)._options == {
        "eta": 0,
        "max_retries": 1,
        "timeout": 5,
    }
    assert second.options(eta=datetime(1970, 1, 1, tzinfo=UTC)).options(delay=1)._options["delay"]
    expiring = first.options(expires=90).options(expires=NOW)
    assert "expires" not in expiring._options
    assert "expires_at" not in expiring.options(expires=90)._options
    assert expiring.options(expires=None)._options == first._options
    # No option changes the object that it was asked of.
    assert first._options == {"delay": 60_000, "queue": "a", "max_retries": 1}


def test_a_view_keeps_its_headers_when_the_caller_changes_the_dict() -> None:
    headers = {"a": "b"}
    view = send.options(headers=headers)
    headers["a"] = "c"
    assert view._options == {"headers": {"a": "b"}}


class Header(enum.StrEnum):
    TENANT = "tenant"


class Text(str):
    """A subclass whose text is not what `str` makes of it."""

    def __str__(self) -> str:
        return "other"


def test_headers_of_a_subclass_of_str_are_sent_as_their_text() -> None:
    headers = send.options(headers={Header.TENANT: Text("7"), Text("a"): "b"})._options["headers"]
    assert headers == {"tenant": "7", "a": "b"}
    assert {type(part) for pair in headers.items() for part in pair} == {str}


def test_options_without_need_of_the_script_are_one_push() -> None:
    assert not send.options(queue="a", max_retries=1, timeout=1, headers={"a": "b"})._route.scripted
    assert send.options(task_id="order-17", headers={"a": "b"})._route is send._route
    assert send.options(delay=0)._route.scripted
    assert not send.options(expires=NOW)._route.scripted
    assert send.options(expires=60)._route.scripted


def test_equal_options_share_a_route_and_the_routes_are_bounded() -> None:
    assert send.options(delay=60)._route is send.options(delay=60.0)._route
    with pytest.raises(TypeError, match="not bool"):
        send.options(max_retries=1).options(max_retries=True)
    send.options(max_retries=1)
    with pytest.raises(TypeError, match="not bool"):
        send.options(max_retries=True)
    assert send.options(delay=60)._route is not send.options(delay=61)._route
    assert send.options(delay=60, queue="a") is send.options(delay=60, queue="a")
    for number in range(1_000):
        send.options(delay=number)
    assert len(send._routes) <= 256
    assert len(send._views) <= 256
    for number in range(1_000):
        send.options(eta=datetime.fromtimestamp(number, UTC))
    assert len(send._routes) <= 256


def test_a_view_has_the_terms_of_its_task_unless_an_option_says_otherwise() -> None:
    terms = send.options(queue="x")._route.terms
    assert (terms["max_retries"], terms["timeout"]) == (5, 30)
    terms = send.options(max_retries=0, timeout=5)._route.terms
    assert (terms["max_retries"], terms["timeout"]) == (0, 5)


def test_a_view_copies_pickles_and_shows_what_it_is() -> None:
    view = send.options(delay=60, task_id="a")
    for same in (pickle.loads(pickle.dumps(view)), copy.copy(view), copy.deepcopy(view)):
        assert (same.task, same._options) == (send, view._options)
    assert repr(view) == "<TaskWithOptions 'send' of queue 'mails': delay, task_id>"
    assert repr(notify.options()).endswith(
        "TaskWithOptions 'notify' of queue 'default': no options>"
    )


def test_a_view_follows_its_object_to_another_redis() -> None:
    moving = FluxQueue("redis://old:1")

    @moving.task()
    def work() -> None: ...

    view = work.options(delay=1)
    before = view._current_route()
    assert view._current_route() is before
    moving.broker.move("redis://new:2", "shop")
    after = view._current_route()
    assert after is not before
    assert work.options(delay=1)._route is after


def test_a_call_of_a_view_is_checked_as_that_of_its_task() -> None:
    with pytest.raises(TypeError, match=r"send\(\) missing 1 required positional argument: 'to'"):
        send.options(delay=1).enqueue()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'cc'"):
        send.options(delay=1).call("a", cc="b")  # type: ignore[call-arg]
    call = send.options(delay=1).call("a", delay=5)
    assert (call.args, call.kwargs, call.options) == (("a",), {"delay": 5}, {"delay": 1_000})


def test_a_task_id_names_one_call() -> None:
    with pytest.raises(ConfigurationError, match="task_id names one call; give each call"):
        send.options(task_id="a").enqueue_many([("a",)])


def test_the_page_has_a_row_for_each_option() -> None:
    page = (Path(__file__).parents[3] / "docs/call-options.md").read_text()
    table, _, _ = page.partition("\n\n- ")
    rows = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    described = re.findall(r"^ {4,8}(\w+): ", CallOptions.__doc__ or "", re.MULTILINE)
    assert set(rows) == set(described) == CallOptions.__optional_keys__


def test_names_of_other_queues_lead_to_options() -> None:
    assert set(peer_names.CALL_OPTIONS.values()) <= CallOptions.__optional_keys__
    assert not peer_names.CALL_OPTIONS.keys() & CallOptions.__optional_keys__


def test_a_delay_must_end_before_the_expiry_of_the_task() -> None:
    task = FluxQueue().task(name="expiring", expires=30)(lambda: None)
    with pytest.raises(ConfigurationError, match="delay is 60 s, and no call begins after expires"):
        task.options(delay=60)
    assert task.options(delay=60, expires=61).queue == "default"
    assert task.options(delay=29.5).queue == "default"
