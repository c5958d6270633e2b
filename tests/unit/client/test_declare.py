"""`FluxQueue.task`: the task that it makes of a function, and the functions it refuses."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from fluxqueue import AsyncTask, ConfigurationError, Context, FluxQueue, Task
from fluxqueue.fluxqueue_core import FluxQueueCore
from fluxqueue.option_checks import MOST_RETRIES
from fluxqueue_core import DEFAULT_REDIS_URL, Settings

fluxqueue = FluxQueue("redis://127.0.0.1:1")


@fluxqueue.task(name="send-email", queue="mails", max_retries=5, retry_delay=2, retry_max_delay=60)
def send_email(to: str, subject: str = "none") -> int:
    """Sends an email."""
    return len(to) + len(subject)


@fluxqueue.task()
async def notify(user_id: int) -> int:
    return user_id


def test_a_task_looks_like_its_function() -> None:
    assert isinstance(send_email, Task)
    assert send_email.__name__ == "send_email"
    assert send_email.__qualname__ == "send_email"
    assert send_email.__module__ == __name__
    assert send_email.__doc__ == "Sends an email."
    assert send_email.__wrapped__ is send_email.func
    assert inspect.signature(send_email) == inspect.signature(send_email.func)


def test_a_task_knows_its_settings() -> None:
    assert (send_email.task_name, send_email.queue, send_email.max_retries) == (
        "send-email",
        "mails",
        5,
    )
    assert (send_email.retry_delay, send_email.retry_backoff, send_email.retry_max_delay) == (
        2,
        2.0,
        60,
    )
    assert send_email.is_async is False
    assert send_email.context_type is None
    assert (notify.task_name, notify.queue, notify.max_retries) == ("notify", "default", 3)
    assert (notify.retry_delay, notify.retry_backoff, notify.retry_max_delay) == (1.0, 2.0, 3600.0)
    assert notify.is_async is True
    assert repr(send_email) == "<Task 'send-email' of queue 'mails'>"


def test_the_function_itself_can_be_called() -> None:
    assert send_email.func("me", subject="x") == 3
    assert asyncio.run(notify.func(7)) == 7


def test_attributes_of_the_function_do_not_hide_those_of_the_task() -> None:
    def function() -> None: ...

    function.queue = "other"  # type: ignore[attr-defined]
    function.note = "kept"  # type: ignore[attr-defined]
    task = FluxQueue().task()(function)
    assert task.queue == "default"
    assert task.note == "kept"  # type: ignore[attr-defined]


def test_frameworks_see_a_coroutine_function() -> None:
    assert isinstance(notify, AsyncTask)
    if sys.version_info < (3, 14):  # deprecated from then on
        assert asyncio.iscoroutinefunction(notify)
        assert not asyncio.iscoroutinefunction(send_email)
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(notify)
        assert not inspect.iscoroutinefunction(send_email)


@pytest.mark.parametrize("task", [send_email, notify])
def test_a_declared_task_copies_and_pickles_as_its_global(task: Any) -> None:
    assert pickle.loads(pickle.dumps(task)) is task
    assert copy.copy(task) is task
    assert copy.deepcopy([task]) == [task]


def test_tasks_are_found_by_queue_and_name() -> None:
    assert dict(fluxqueue.tasks) == {
        ("mails", "send-email"): send_email,
        ("default", "notify"): notify,
    }
    with pytest.raises(TypeError):
        fluxqueue.tasks["mails", "x"] = send_email  # type: ignore[index]


def test_repr_has_no_password() -> None:
    shown = repr(FluxQueue("redis://someone:geheim@example.org:6379/3"))
    assert "geheim" not in shown
    assert "someone" not in shown
    assert "example.org:6379" in shown


@pytest.mark.parametrize("without", [FluxQueue, lambda: FluxQueue(None)])
def test_without_a_url_it_is_the_variable_and_else_the_default(
    monkeypatch: Any, without: Callable[[], FluxQueue]
) -> None:
    monkeypatch.setenv("FLUXQUEUE_REDIS_URL", "redis://from-variable:1")
    assert without().settings.display_url == "redis://from-variable:1/0"
    monkeypatch.delenv("FLUXQUEUE_REDIS_URL")
    assert without().settings.display_url == "redis://127.0.0.1:6379/0"


@pytest.mark.parametrize("url", ["redis://given:1/2", "redis://127.0.0.1:6379", DEFAULT_REDIS_URL])
def test_a_url_in_the_code_is_used_as_it_is(monkeypatch: Any, url: str) -> None:
    """Even if it is the default: a caller who writes it means it."""
    monkeypatch.setenv("FLUXQUEUE_REDIS_URL", "redis://from-variable:1")
    assert FluxQueue(url).settings.display_url == Settings(url).display_url


@pytest.mark.parametrize("kind", [FluxQueue, FluxQueueCore])
def test_the_signature_shows_the_default_url(monkeypatch: Any, kind: Any) -> None:
    default = inspect.signature(kind).parameters["redis_url"].default
    assert repr(default) == "'redis://127.0.0.1:6379'"
    assert default == "redis://127.0.0.1:6379"
    # A wrapper that passes the default on has not named a URL.
    monkeypatch.setenv("FLUXQUEUE_REDIS_URL", "redis://from-variable:1")
    assert repr(kind(default)) == repr(kind()) == f"{kind.__name__}('redis://from-variable:1/0')"


def test_a_moved_object_takes_its_tasks_along() -> None:
    app = FluxQueue("redis://old:1?timeout=2", max_message_bytes=1_000)
    sync_task = app.task()(function_named("one"))
    replaced, current = app.task(name="two")(coroutine), app.task(name="two")(coroutine)
    app.broker.move("redis://new:2?connect_timeout=3")
    assert app.settings.display_url == "redis://new:2/0"
    # Parameters belong to their URL. Arguments belong to the object.
    assert (app.settings.connect_timeout, app.settings.timeout) == (3, 5)
    assert app.settings.max_message_bytes == 1_000
    later = app.task()(function_named("later"))
    tasks: list[Any] = [sync_task, replaced, current, later]
    for task in tasks:
        assert task._producer is app.broker.producer
        assert task._producer.server == ("new", 2)
        assert task._enqueue.__self__ is app.broker.producer
        assert task.broker is app.broker
    assert tasks[2]._enqueue_async.__self__ is app.broker.producer


def function_named(name: str) -> Any:
    def function() -> None: ...

    function.__name__ = function.__qualname__ = name
    return function


async def coroutine() -> None: ...


class Job:
    def run(self) -> None: ...

    @classmethod
    def make(cls) -> None: ...

    def __call__(self) -> None: ...


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("decorated", "said"),
    [
        (Job, "it is a class"),
        (Job(), "it is not a function"),
        (Job().run, "it is a method"),
        (Job.make, "it is a method"),
        (classmethod(lambda cls: None), "it is a method"),
        (staticmethod(lambda: None), "put @staticmethod above @task()"),
        (generator, "it is a generator"),
        (async_generator, "it is an async generator"),
        (functools.partial(generator), "it is a functools.partial; write a `def`"),
        (print, "it is not a function"),
        (5, "can't decorate int: it is not a function"),
        (send_email, "it is a task already"),
        (lambda: None, "a lambda has no name"),
    ],
)
def test_a_function_that_no_worker_could_run_is_refused(decorated: Any, said: str) -> None:
    app = FluxQueue()
    with pytest.raises(TypeError) as caught:
        app.task()(decorated)
    assert said in str(caught.value)
    assert not app.tasks


def test_a_lambda_may_be_a_task_under_a_name() -> None:
    assert FluxQueue().task(name="double")(lambda x: 2 * x).task_name == "double"


@pytest.mark.parametrize("decorator", ["task", "task_with_context"])
def test_the_parentheses_are_needed(decorator: str) -> None:
    with pytest.raises(TypeError, match=rf"write @fluxqueue.{decorator}\(\) with parentheses"):
        getattr(FluxQueue(), decorator)(generator)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"max_retries": -1}, ConfigurationError, "max_retries is -1; give 0"),
        ({"max_retries": MOST_RETRIES + 1}, ConfigurationError, "max_retries is 4294967296"),
        ({"max_retries": True}, TypeError, "max_retries must be an int, not bool"),
        ({"max_retries": 1.0}, TypeError, "max_retries must be an int, not float"),
        ({"max_retries": "3"}, TypeError, "max_retries must be an int, not str"),
        ({"timeout": 0}, ConfigurationError, "timeout is 0; give seconds above 0"),
        ({"timeout": float("nan")}, ConfigurationError, "timeout is nan"),
        ({"timeout": 1e9}, ConfigurationError, "a year"),
        ({"timeout": True}, TypeError, "timeout must be a number of seconds or None, not bool"),
        ({"timeout": "1"}, TypeError, "not str"),
        ({"retry_delay": -0.1}, ConfigurationError, "retry_delay is -0.1"),
        ({"retry_delay": float("nan")}, ConfigurationError, "retry_delay is nan"),
        ({"retry_delay": "1"}, TypeError, "retry_delay must be a number, not str"),
        ({"retry_delay": 4000}, ConfigurationError, "above retry_max_delay"),
        ({"retry_backoff": 0.5}, ConfigurationError, "retry_backoff is 0.5; .* 1 or more"),
        ({"retry_max_delay": float("inf")}, ConfigurationError, "retry_max_delay is inf"),
        ({"retry_max_delay": False}, TypeError, "retry_max_delay must be a number, not bool"),
        ({"retry_backoff": 10**400}, ConfigurationError, "retry_backoff is 1000"),
        ({"name": 5}, TypeError, "the task's name must be a str, not int"),
        ({"queue": None}, TypeError, "the queue must be a str, not NoneType"),
        ({"queue": b"mail"}, TypeError, "the queue must be a str, not bytes"),
    ],
)
@pytest.mark.parametrize("decorator", ["task", "task_with_context"])
def test_options_are_checked(
    decorator: str, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        getattr(FluxQueue(), decorator)(**options)


@pytest.mark.parametrize("options", [{"max_retries": 0}, {"max_retries": MOST_RETRIES}])
def test_the_limits_themselves_are_allowed(options: dict[str, Any]) -> None:
    task = FluxQueue().task(**options)(function_of_module("a"))
    assert task.max_retries == options["max_retries"]


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": "a\ud800"},
        {"queue": "a}b"},
        {"queue": ""},
        {"queue": "\ud800"},
    ],
)
def test_names_are_checked_by_the_core(options: Any) -> None:
    app = FluxQueue()
    with pytest.raises(ConfigurationError):
        app.task(**options)(function_of_module("a"))
    assert not app.tasks


def function_of_module(name: str, file: str = "a.py") -> Any:
    """A function `work` as the module would have it after (another) import."""
    module = ModuleType(name)
    exec(compile("def work(): return 1", file, "exec"), module.__dict__)
    return module.__dict__["work"]


def test_a_second_function_under_the_name_is_refused() -> None:
    app = FluxQueue()
    first = app.task()(function_of_module("a", "a.py"))
    with pytest.raises(ConfigurationError) as caught:
        app.task()(function_of_module("b", "b.py"))
    assert "has a task 'work' already, a.work(), and b.work()" in str(caught.value)
    assert "another name=" in str(caught.value)
    assert app.tasks["default", "work"] is first
    other_queue = app.task(queue="other")(function_of_module("b", "b.py"))
    assert app.tasks["other", "work"] is other_queue


@pytest.mark.parametrize(
    ("module", "file"), [("a", "a.py"), ("a", "/moved/a.py"), ("__main__", "a.py")]
)
def test_a_module_that_is_loaded_again_replaces_its_tasks(module: str, file: str) -> None:
    app = FluxQueue()
    app.task()(function_of_module("a", "a.py"))
    again = app.task()(function_of_module(module, file))
    assert app.tasks["default", "work"] is again


def test_a_local_function_may_name_itself_and_what_is_defined_below() -> None:
    """Their variables are empty when the decorator runs."""
    local = FluxQueue()

    @local.task()
    def again(times: int) -> int:
        again(times - 1)
        return below

    @local.task_with_context()
    def with_context(ctx: Context) -> None:
        with_context.enqueue()

    @local.task()
    @functools.wraps(generator)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    below = 1
    function = generator
    assert [name for _, name in local.tasks] == ["again", "with_context", "generator"]
