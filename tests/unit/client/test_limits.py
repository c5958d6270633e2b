"""The options of limited tasks: their checks, the keys of calls, and what callers of other tasks
pay for them."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError
from typing import Any
from uuid import UUID

import pytest
from fluxqueue import AsyncTask, ConfigurationError, FluxQueue, Limit, Task
from fluxqueue.call_rules import call_rules
from fluxqueue.keyed_task import KeyedAsyncTask, KeyedTask, KeyedTypedTask
from fluxqueue.limit_rule import LimitRule, limit_rule
from fluxqueue_core.limits import LimitRules, key_digest, limit_digest


def unreachable() -> FluxQueue:
    return FluxQueue("redis://127.0.0.1:1")


app = unreachable()
stripe = app.limit("stripe", rate="25/s", concurrency=5)


def declare(**options: Any) -> Any:
    def work(a: int, b: int = 2) -> None: ...

    return unreachable().task(**options)(work)


async def key(order: int) -> int:
    return order


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"concurrency": 0}, ConfigurationError, "concurrency is 0; give 1 to 999999, or None"),
    ({"concurrency": 1_000_000}, ConfigurationError, "give 1 to 999999, or None for any number"),
    ({"concurrency": True}, TypeError, "concurrency must be an int or None, not bool"),
    ({"concurrency": "5"}, TypeError, "concurrency must be an int or None, not str"),
    ({"rate": 25}, TypeError, "rate must be a str such as '100/m' or None, not int"),
    ({"rate": "25"}, ConfigurationError, "the rate is '25'; give a number, a slash and"),
    ({"rate": "0/s"}, ConfigurationError, "nothing would ever begin; give 1 or more"),
    ({"rate": "1/s", "burst": 0}, ConfigurationError, "burst is 0; give 1 to 999999"),
    ({"rate": "1/s", "burst": 1.5}, TypeError, "burst must be an int or None, not float"),
    ({"burst": 5}, ConfigurationError, "burst says nothing without rate; give rate too"),
    ({"concurrency": 5, "burst": 5}, ConfigurationError, "burst says nothing without rate"),
    ({"limit": "stripe"}, TypeError, "limit must be what fluxqueue.limit(...) returns, or None"),
    ({"limit": stripe, "rate": "1/s"}, ConfigurationError, "rate and limit are both given"),
    ({"limit": stripe, "concurrency": 1}, ConfigurationError, "give concurrency to fluxqueue."),
    ({"limit": stripe, "burst": 1}, ConfigurationError, "burst and limit are both given"),
    ({"limit_key": "a"}, ConfigurationError, "says nothing without a limit; give concurrency,"),
    ({"rate": "1/s", "limit_key": "c"}, ConfigurationError, "limit_key names 'c', which is not a"),
    ({"rate": "1/s", "limit_key": ("a", "c")}, ConfigurationError, "it has a, b"),
    ({"rate": "1/s", "limit_key": ""}, ConfigurationError, "limit_key is ''; name one parameter"),
    ({"rate": "1/s", "limit_key": ()}, ConfigurationError, "limit_key is (); name one parameter"),
    ({"rate": "1/s", "limit_key": (1,)}, ConfigurationError, "limit_key is (1,); name one"),
    ({"rate": "1/s", "limit_key": ["a"]}, TypeError, "must be the name of a parameter, a tuple"),
    ({"rate": "1/s", "limit_key": key}, TypeError, "limit_key must be a plain function"),
    ({"max_per_worker": 0}, ConfigurationError, "max_per_worker is 0; give 1 to 999999, or None"),
    ({"max_per_worker": None, "rate_limit": "1/s"}, TypeError, "did you mean rate?"),
]


@pytest.mark.parametrize(("options", "kind", "said"), WRONG)
def test_a_wrong_declaration_is_an_error(
    options: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind) as caught:
        declare(**options)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ({"name": 5, "rate": "1/s"}, TypeError, "the name of a limit must be a str, not int"),
        ({"name": "", "rate": "1/s"}, ConfigurationError, "the name of a limit"),
        ({"name": "a b", "rate": "1/s"}, ConfigurationError, "has the character ' '"),
        ({"name": "a"}, ConfigurationError, "limits nothing; give rate='25/s', concurrency=5"),
        ({"name": "a", "concurrency": 5, "burst": 2}, ConfigurationError, "burst says nothing"),
        ({"name": "a", "rate": "x"}, ConfigurationError, "the rate is 'x'; give a number"),
        ({"name": "a", "concurrency": -1}, ConfigurationError, "concurrency is -1; give 1 to"),
    ],
)
def test_a_wrong_limit_is_an_error(
    values: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind) as caught:
        app.limit(values.pop("name"), **values)
    assert said in str(caught.value)


def test_a_limit_can_not_be_changed() -> None:
    assert stripe == Limit("stripe", "25/s", 5)
    with pytest.raises(FrozenInstanceError):
        stripe.rate = "26/s"  # type: ignore[misc]
    assert stripe.rules == LimitRules(5, 43_479, 3)


def test_a_route_learns_the_numbers_of_the_limit() -> None:
    def limit(**options: Any) -> Any:
        return declare(**options).terms.of_route("work").get("limit")

    assert limit() is None and limit(max_per_worker=2) is None
    assert limit(concurrency=10) == (10, 0, 1)
    assert limit(rate="100/m") == (0, 600_000, 1)
    assert limit(rate="100/m", burst=7, concurrency=3) == (3, 600_000, 7)
    assert limit(limit=stripe, limit_key="a") == (5, 43_479, 3)


def test_only_limited_tasks_have_their_class() -> None:
    assert type(declare()) is Task and type(declare(max_per_worker=1)) is Task
    assert type(declare(concurrency=1)) is KeyedTask
    assert call_rules(declare(), {}) is None

    @app.task(rate="1/s")
    async def coroutine(a: int) -> None: ...

    @app.task(limit=stripe)
    def typed(a: UUID | None = None) -> None: ...

    assert type(coroutine) is KeyedAsyncTask and isinstance(coroutine, AsyncTask)
    assert type(typed) is KeyedTypedTask and isinstance(typed, Task)
    assert inspect.iscoroutinefunction(coroutine) or hasattr(coroutine, "_is_coroutine")


def rule(function: Any, limit_key: Any = None, name: str | None = None) -> LimitRule:
    limit = unreachable().limit("shared", concurrency=1)
    task = unreachable().task(name=name, limit=limit, limit_key=limit_key)(function)
    found = limit_rule(task)
    assert found is not None
    return found


def test_equal_keys_have_equal_digests_whatever_names_them() -> None:
    def one(customer: str, amount: int = 1) -> None: ...
    def other(amount: int, customer_id: str) -> None: ...
    def third(**rest: Any) -> None: ...

    def limit(of: LimitRule, *args: Any, **kwargs: Any) -> tuple[str, str]:
        return of.of_key(of.key(args, kwargs))

    expected = (key_digest("shared", b'"acme"'), "shared acme")
    assert limit(rule(one, "customer"), "acme") == expected
    assert limit(rule(one, "customer"), customer="acme", amount=7) == expected
    assert limit(rule(other, "customer_id"), 5, "acme") == expected
    assert limit(rule(third, "customer"), customer="acme") == expected
    assert limit(rule(one, lambda customer, amount=1: customer), "acme") == expected
    both = (key_digest("shared", b'["acme",1]'), 'shared ["acme",1]')
    assert limit(rule(one, ("customer", "amount")), "acme") == both
    assert limit(rule(one), "acme") == (key_digest("shared", b""), "shared")
    # 1, True and "1" are three keys.
    keys = {limit(rule(one, "amount"), "acme", amount)[0] for amount in (1, True, "1")}
    assert len(keys) == 3


def test_a_tasks_own_limit_has_the_tasks_name() -> None:
    task = unreachable().task(name="mail", rate="1/s")(lambda a: None)
    found = limit_rule(task)
    assert found is not None
    assert found.of_key(None) == (key_digest("mail", b""), "mail")
    assert found.of_key(None)[0].startswith(limit_digest("mail"))


def test_a_function_that_names_no_key_is_an_error() -> None:
    task = declare(concurrency=1, limit_key=lambda a, b=2: None)
    with pytest.raises(TypeError, match="the function limit_key returned None for a call; return"):
        task.enqueue(1)


def test_a_key_that_json_can_not_carry_is_an_error() -> None:
    task = declare(concurrency=1, limit_key=lambda a, b=2: object())
    with pytest.raises(TypeError, match="object"):
        task.enqueue(1)


def test_a_producer_without_the_code_declares_a_limited_task() -> None:
    def signature(a: int) -> None: ...

    declared = app.declare("other", signature=signature, rate="1/s", limit_key="a")
    assert declared.terms.rate == "1/s" and type(declared) is KeyedTask
    with pytest.raises(ConfigurationError, match="limit_key names 'b'"):
        app.declare("other", signature=signature, rate="1/s", limit_key="b")
    with pytest.raises(TypeError, match="the worker's code decides it"):
        app.declare("other", max_per_worker=1)


def test_one_name_is_one_limit_of_a_queue() -> None:
    client = unreachable()
    client.task(name="a", limit=client.limit("x", rate="1/s"))(lambda: None)
    client.task(name="b", limit=client.limit("x", rate="1/s"))(lambda: None)
    with pytest.raises(ConfigurationError, match="has a limit 'x' already, of 1/s, and task 'c'"):
        client.task(name="c", limit=client.limit("x", rate="2/s"))(lambda: None)
    client.task(name="c", queue="other", limit=client.limit("x", rate="2/s"))(lambda: None)
    with pytest.raises(ConfigurationError, match="a task 'x' with its own limit, and a limit of"):
        client.task(name="x", rate="1/s")(lambda: None)
    client.task(name="y", rate="1/s")(lambda: None)
    with pytest.raises(ConfigurationError, match=r"give fluxqueue\.limit"):
        client.task(name="z", limit=client.limit("y", rate="1/s"))(lambda: None)


def test_a_module_that_is_loaded_twice_declares_its_limits_again() -> None:
    client = unreachable()
    for rate in ("1/s", "2/s"):

        def work() -> None: ...

        client.task(rate=rate)(work)
    assert client.tasks["default", "work"].terms.rate == "2/s"


def test_a_limited_task_can_not_be_a_callback() -> None:
    alert = app.task(name="alert", concurrency=1)(lambda failure: None)
    with pytest.raises(ConfigurationError, match="on_failure: task 'alert' has a limit"):
        declare(on_failure=alert)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_limited_task_can_not_be_a_callback_by_its_name(is_first: bool) -> None:
    client = unreachable()

    def alert() -> None:
        client.task(name="alert", concurrency=1)(lambda failure: None)

    def work() -> None:
        client.task(name="work", on_failure="alert")(lambda: None)

    # In another queue it is another task.
    client.task(name="alert", queue="other", concurrency=1)(lambda failure: None)
    first, second = (alert, work) if is_first else (work, alert)
    first()
    with pytest.raises(ConfigurationError, match="on_failure of task 'work': task 'alert' has a"):
        second()
