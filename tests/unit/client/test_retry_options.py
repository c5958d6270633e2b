"""The options that say which failures are retried: their checks, and what they keep."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from fluxqueue import (
    ConfigurationError,
    FluxQueue,
    FluxQueueError,
    Reject,
    Retry,
    RetryPolicy,
    Snooze,
)

NAN = float("nan")
# Values that no type checker accepts.
ONE: Any = "1"
FIVE: Any = 5
NOTHING: Any = None
# Python prints ints of up to 4,300 digits.
UNPRINTABLE: Any = 10**5_000
POLICY = RetryPolicy(max_retries=5)


class Mute(int):
    def __str__(self) -> str:
        raise RuntimeError("it has no text")

    __repr__ = __str__


MUTE = Mute(-1)


def doubled(attempt: int, error: BaseException) -> float | None:
    return attempt * 2.0


async def awaited(attempt: int, error: BaseException) -> float | None:
    return 1.0


class AwaitedCall:
    async def __call__(self, attempt: int, error: BaseException) -> float | None:
        return 1.0


def of_one(error: BaseException) -> float | None:
    return 1.0


def declared(**options: Any) -> Any:
    return FluxQueue().task(**options)(work)


def work() -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        {"retry_on": ConnectionError},
        {"retry_on": (ConnectionError, TimeoutError)},
        {"retry_on": {ConnectionError: POLICY}},
        {"retry_on": OSError, "no_retry_on": ConnectionError},
        {"retry_on": OSError, "retry": doubled},
        {"retry_on": OSError, "retry_delays": [1, 5]},
        {"no_retry_on": (ValueError, KeyError)},
        {"no_retry_on": ()},
        {"max_retries": 3, "retry_delays": [0, 0.5, 30]},
        {"retry_delays": (1,), "jitter": False},
        {"retry": doubled, "no_retry_on": ValueError},
        {"retry": partial(lambda much, attempt, error: much, 5)},
        {"retry_on": None, "no_retry_on": None, "retry_delays": None, "retry": None},
        {"retry_on": {OSError: RetryPolicy(delays=[1] * 5, max_retries=5)}},
        {"retry_on": {OSError: RetryPolicy(delay=1)}, "retry_delays": [1, 2]},
        {"retry_on": {OSError: RetryPolicy(max_retries=0)}},
        {"retry_delays": [1] * 1_000, "max_retries": 1_000},
    ],
)
def test_sensible_options_are_kept(options: dict[str, Any]) -> None:
    terms = declared(**options).terms
    for name, value in options.items():
        kept = tuple(value) if name == "retry_delays" and value else value
        assert getattr(terms, name) == kept


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"retry_on": 5}, TypeError, "retry_on must be an exception class .*, not int"),
        ({"retry_on": int}, TypeError, "retry_on must be an exception class .*, not int"),
        ({"retry_on": "OSError"}, TypeError, "not str"),
        ({"retry_on": [OSError]}, TypeError, r"not list; write retry_on=\(A, B\)"),
        ({"no_retry_on": {OSError}}, TypeError, r"not set; write no_retry_on=\(A, B\)"),
        ({"retry_on": OSError()}, TypeError, "not OSError; write retry_on=OSError"),
        ({"retry_on": (OSError, 5)}, TypeError, "not int"),
        ({"retry_on": ()}, ConfigurationError, "retry_on is empty, .* write max_retries=0"),
        ({"retry_on": {}}, ConfigurationError, "retry_on is empty"),
        ({"retry_on": {int: POLICY}}, TypeError, "keys of retry_on must be .*, not int"),
        ({"retry_on": {"x": POLICY}}, TypeError, "keys of retry_on must be .*, not str"),
        (
            {"retry_on": {OSError: 5}},
            TypeError,
            r"retry_on\[OSError\] must be a RetryPolicy, not int",
        ),
        ({"retry_on": {OSError: None}}, TypeError, "use no_retry_on=OSError"),
        ({"retry_on": {OSError: RetryPolicy}}, TypeError, "must be a RetryPolicy, not RetryPolicy"),
        ({"no_retry_on": {OSError: POLICY}}, TypeError, "no_retry_on must be .*, not dict"),
        (
            {"retry_on": OSError, "no_retry_on": OSError},
            ConfigurationError,
            "retry_on has OSError, but no_retry_on has it too",
        ),
        (
            {"retry_on": {ConnectionError: POLICY}, "no_retry_on": (ValueError, OSError)},
            ConfigurationError,
            "retry_on has ConnectionError, but no_retry_on has its base class OSError",
        ),
        ({"retry_delays": 5}, TypeError, "retry_delays must be a list of seconds, not int"),
        ({"retry_delays": "15"}, TypeError, "retry_delays must be a list of seconds, not str"),
        ({"retry_delays": []}, ConfigurationError, "retry_delays is empty"),
        ({"retry_delays": range(10**9)}, ConfigurationError, "has more than 1000 delays; give "),
        ({"retry_delays": range(10**30)}, ConfigurationError, "has more than 1000 delays; give "),
        (
            {"retry_delays": [1] * 1_001, "max_retries": 1_001},
            ConfigurationError,
            "retry_delays has more than 1000 delays; .* compute them: retry=function",
        ),
        ({"retry_delays": [1, "5"]}, TypeError, r"retry_delays\[1\] must be a number .* not str"),
        ({"retry_delays": [True]}, TypeError, r"retry_delays\[0\] .* not bool"),
        ({"retry_delays": [-1]}, ConfigurationError, r"retry_delays\[0\] is -1; give seconds"),
        ({"retry_delays": [NAN]}, ConfigurationError, r"retry_delays\[0\] is nan"),
        ({"retry_delays": [10**400]}, ConfigurationError, r"a year"),
        (
            {"retry_delays": [1] * 4},
            ConfigurationError,
            "4 delays for max_retries=3; give max_retr",
        ),
        (
            {"retry_delays": [1], "retry_delay": 1},
            ConfigurationError,
            "so retry_delay has no effect",
        ),
        (
            {"retry_delays": [1], "retry_backoff": 2},
            ConfigurationError,
            "retry_backoff has no effect",
        ),
        ({"retry_delays": [1], "retry_max_delay": 9}, ConfigurationError, "retry_max_delay has no"),
        ({"jitter": 0}, TypeError, "jitter must be True or False, not int"),
        ({"retry": 5}, TypeError, "not int; for a number of retries use max_retries"),
        ({"retry": OSError}, TypeError, "for classes use retry_on=OSError"),
        ({"retry": awaited}, TypeError, "retry must be a plain function"),
        ({"retry": partial(awaited)}, TypeError, "retry must be a plain function"),
        ({"retry": AwaitedCall()}, TypeError, "retry must be a plain function"),
        ({"retry": of_one}, TypeError, "called with attempt and error, which do not fit"),
        ({"retry": doubled, "retry_delays": [1]}, ConfigurationError, "retry_delays has no effect"),
        ({"retry": doubled, "retry_delay": 1}, ConfigurationError, "retry_delay has no effect"),
        ({"retry": doubled, "jitter": False}, ConfigurationError, "jitter has no"),
        (
            {"retry": doubled, "retry_on": {OSError: POLICY}},
            ConfigurationError,
            "the policies of retry_on have no effect",
        ),
        (
            {"retry_on": {OSError: RetryPolicy(delay=5000)}},
            ConfigurationError,
            r"retry_on\[OSError\]: retry_delay is 5000 s, above retry_max_delay",
        ),
        (
            {"retry_on": {OSError: RetryPolicy(delays=[1] * 4)}},
            ConfigurationError,
            r"retry_on\[OSError\]: delays of RetryPolicy has 4 delays for max_retries=3",
        ),
    ],
)
def test_a_wrong_option_is_refused_where_the_task_is_declared(
    options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        FluxQueue().task(**options)


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (
            lambda: RetryPolicy(max_retries=-1),
            ConfigurationError,
            "max_retries of RetryPolicy is -1",
        ),
        (lambda: RetryPolicy(delay=ONE), TypeError, "delay of RetryPolicy must be a number"),
        (
            lambda: RetryPolicy(jitter=FIVE),
            TypeError,
            "jitter of RetryPolicy must be True or False",
        ),
        (lambda: RetryPolicy(delays=range(10**9)), ConfigurationError, "more than 1000 delays"),
        (lambda: RetryPolicy(delays=[1], delay=1), ConfigurationError, "so delay has no effect"),
        (
            lambda: RetryPolicy(delays=[1, 2], max_retries=1),
            ConfigurationError,
            "give max_retries=2",
        ),
        (lambda: Retry(FIVE), TypeError, r"by name: Retry\(delay=\.\.\.\), not Retry\(5\)"),
        (lambda: Retry(UNPRINTABLE), TypeError, r"not Retry\(too large to print\)"),
        (lambda: Retry(delay=UNPRINTABLE), ConfigurationError, "Retry is too large to print; give"),
        (lambda: Retry(delay=MUTE), ConfigurationError, "delay of Retry is not printable; give"),
        (lambda: Retry(NOTHING), TypeError, "the text of Retry must be a str, not NoneType"),
        (
            lambda: Retry(delay=ONE),
            TypeError,
            "delay of Retry must be a number of seconds, not str",
        ),
        (lambda: Retry(delay=-1), ConfigurationError, "delay of Retry is -1"),
        (lambda: Retry(delay=NAN), ConfigurationError, "delay of Retry is nan"),
        (lambda: Retry(delay=1e9), ConfigurationError, "a year"),
    ],
)
def test_a_wrong_policy_or_retry_is_refused(
    make: Callable[[], object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        make()


def test_the_delay_of_a_retry_or_a_snooze_may_be_a_timedelta() -> None:
    assert Retry(delay=timedelta(minutes=1)).delay == 60
    assert Snooze("no file", delay=timedelta(milliseconds=1)).delay == 0.001
    with pytest.raises(ConfigurationError, match=r"delay of Snooze is -1\.0"):
        Snooze(delay=timedelta(seconds=-1))


def test_later_changes_of_the_callers_list_and_dict_change_nothing() -> None:
    delays, policies = [1.0, 2.0], {OSError: POLICY}
    task = declared(retry_delays=delays, retry_on=policies)
    delays.append(3.0)
    policies.clear()
    assert task.terms.retry_delays == (1.0, 2.0)
    assert task.terms.retry_on == {OSError: POLICY}
    with pytest.raises(TypeError):
        task.terms.retry_on[ValueError] = POLICY


def test_retry_and_reject_survive_pickling_and_show_their_text() -> None:
    for error in (Retry("busy", delay=5), Retry(delay=0), Reject("no such customer")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.args, vars(copy)) == (type(error), error.args, vars(error))
    assert (str(Retry("busy")), str(Retry()), str(Reject("why"))) == ("busy", "", "why")


def test_catching_the_errors_of_redis_does_not_catch_a_tasks_decision() -> None:
    assert not issubclass(Retry, FluxQueueError) and not issubclass(Reject, FluxQueueError)


@pytest.mark.parametrize("name", ["delay", "backoff", "max_delay", "delays", "jitter"])
def test_a_policy_without_retries_has_no_delays(name: str) -> None:
    values: dict[str, Any] = {"delays": [1], "jitter": False}
    said = f"max_retries=0 of RetryPolicy retries nothing, so {name} has no effect"
    with pytest.raises(ConfigurationError, match=said):
        RetryPolicy(max_retries=0, **{name: values.get(name, 1)})
