"""The namespace that a worker and the objects in its modules agree on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_worker.application import Application
from fluxqueue_worker.task_loader import TasksError

Load = Callable[..., Application]


@pytest.fixture
def load_app(load_source: Load) -> Load:
    """Loads a module in which `a` and `b` are the namespaces, as source, of two objects. Each
    has a task in the queue of its name, and a task in the queue `both`."""

    def load_app(a: str, b: str, *arguments: str, attribute: str = "") -> Application:
        source = (
            "from fluxqueue import FluxQueue\n"
            f"a = FluxQueue('redis://h', namespace={a})\n"
            f"b = FluxQueue('redis://h', namespace={b})\n"
            "@a.task(queue='a', max_retries=7, timeout=9)\ndef first(): ...\n"
            "@b.task(queue='b')\nasync def second(): ...\n"
            "@a.task(queue='both')\ndef third(): ...\n"
            "@b.task(queue='both')\nasync def fourth(): ...\n"
        )
        return load_source(source, *arguments, attribute=attribute)

    return load_app


def places(application: Application, *names: str) -> list[str]:
    """The namespaces of the calls of these tasks: of what sends them, and of their keys."""
    module = sys.modules[next(iter(application.tasks)).func.__module__]
    found = []
    for name in names:
        declared: Any = vars(module)[name]
        assert declared._route.terms == {**declared._route.terms, **declared.terms.sent()}
        assert declared.broker.settings.namespace == declared.broker.producer.namespace
        found.append(declared.broker.producer.namespace)
    return found


def test_without_an_option_the_worker_takes_the_one_in_the_code(load_app: Load) -> None:
    application = load_app("'shop'", "'shop'", "-q", "*")
    assert application.settings.namespace == "shop"
    assert (application.replaced_namespace, application.other_namespaces) == (None, [])
    assert load_app("None", "''", "-q", "*").settings.namespace == ""
    # By queue, as for a URL.
    assert load_app("'shop'", "'blog'", "-q", "a").settings.namespace == "shop"
    assert load_app("'shop'", "'blog'", "-q", "b").settings.namespace == "blog"
    one = load_app("'shop'", "'blog'", "-q", "both", attribute=":b")
    assert one.settings.namespace == "blog"


def test_an_object_without_a_namespace_follows_the_worker(load_app: Load) -> None:
    application = load_app("None", "None", "-q", "*", "--namespace", "shop")
    assert application.settings.namespace == "shop"
    assert places(application, "first", "fourth") == ["shop", "shop"]
    assert application.replaced_namespace is None
    # Also for the objects of modules that are imported later, and for child processes.
    assert FluxQueue().settings.namespace == "shop"


@pytest.mark.parametrize("other", ["'blog'", "None"])
def test_several_namespaces_in_the_queues_of_one_worker_are_an_error(
    load_app: Load, other: str
) -> None:
    with pytest.raises(TasksError) as caught:
        load_app("'shop'", other, "-q", "both")
    text = str(caught.value)
    assert "'shop' (queue 'both')" in text and "choose one of these with --namespace" in text
    assert ("'blog'" if other == "'blog'" else "the default one") in text
    # None of them is the worker's: which one it stands for is not clear.
    if other == "'blog'":
        with pytest.raises(TasksError, match="several namespaces"):
            load_app("'shop'", other, "-q", "both", "--namespace", "staging")


def test_the_worker_serves_only_the_tasks_of_its_namespace(load_app: Load, lines: Any) -> None:
    application = load_app("'shop'", "'blog'", "-q", "*", "--namespace", "shop")
    assert application.options.queues == ("a", "both")
    assert {task.func.__name__ for task in application.tasks} == {"first", "third"}
    assert places(application, "first", "second", "third", "fourth") == [
        *("shop", "blog", "shop", "blog")
    ]
    application.warn(lines.logger())
    [line] = lines.named("worker.namespaces_not_served")
    assert (line["level"], line["namespaces"]) == ("info", ["blog"])
    assert lines.named("worker.namespace_replaced") == []
    with pytest.raises(TasksError, match=r"no task for queue 'b'.*\('blog'\) are not for this"):
        load_app("'shop'", "'blog'", "-q", "b", "--namespace", "shop")


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_the_worker_s_namespace_replaces_the_one_in_the_code(
    load_app: Load, monkeypatch: pytest.MonkeyPatch, lines: Any, by: str
) -> None:
    options = ["--namespace", "staging"]
    if by == "variable":
        monkeypatch.setenv("FLUXQUEUE_NAMESPACE", options.pop())
        options = []
    application = load_app("'shop'", "'shop'", "-q", "a", *options)
    assert application.settings.namespace == "staging"
    # `b` has no queue of this worker, and is in the namespace that was replaced.
    assert places(application, "first", "second") == ["staging", "staging"]
    application.warn(lines.logger())
    [line] = lines.named("worker.namespace_replaced")
    assert (line["namespace"], line["in_code"]) == ("staging", "shop")
    # An object for another namespace and other queues is left alone.
    application = load_app("'shop'", "'blog'", "-q", "a", *options)
    assert places(application, "first", "second") == ["staging", "blog"]


def test_redis_and_namespace_are_moved_independently(load_app: Load) -> None:
    options = ["-r", "redis://worker:5", "--namespace", "shop"]
    application = load_app("'shop'", "'blog'", "-q", "a", *options)
    assert application.settings.display_url == "redis://worker:5/0"
    assert application.settings.namespace == "shop"
    assert application.replaced == ["redis://h:6379/0"]
    # The blog has moved with its Redis, and kept its namespace.
    assert places(application, "first", "second") == ["shop", "blog"]
    blog: Any = vars(sys.modules[next(iter(application.tasks)).func.__module__])["second"]
    assert blog.broker.producer.server == ("worker", 5)
