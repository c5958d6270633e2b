"""The Redis that a worker and the objects in its modules agree on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_core import Settings
from fluxqueue_worker.application import Application
from fluxqueue_worker.one_redis import redis_identity
from fluxqueue_worker.task_loader import TasksError

Load = Callable[..., Application]


@pytest.fixture
def load_app(load_source: Load) -> Load:
    """Loads a module in which `a` and `b` are the URLs, as source, of two objects. Each has
    a task in the queue of its name."""

    def load_app(a: str, b: str, *arguments: str, attribute: str = "") -> Application:
        source = (
            f"from fluxqueue import FluxQueue\na = FluxQueue({a})\nb = FluxQueue({b})\n"
            "@a.task(queue='a')\ndef first(): ...\n"
            "@b.task(queue='b')\nasync def second(): ...\n"
        )
        return load_source(source, *arguments, attribute=attribute)

    return load_app


def servers(application: Application) -> dict[str, tuple[str, int | None]]:
    """The server of each task's calls, by the task's name."""
    found = {}
    for name, task in application.tasks.anywhere.items():
        declared: Any = vars(sys.modules[task.func.__module__])[name]
        found[name] = declared.broker.producer.server
    return found


def test_without_a_url_the_worker_takes_the_one_in_the_code(load_app: Load) -> None:
    url = "'redis://user:pw@shop:1/2?timeout=3'"
    application = load_app(url, url, "-q", "*")
    assert application.settings.url == "redis://user:pw@shop:1/2"
    assert application.settings.timeout == 3
    assert application.replaced == []
    assert application.options.queues == ("a", "b")


def test_with_no_url_anywhere_it_is_the_default(load_app: Load) -> None:
    assert load_app("", "None", "-q", "*").settings.url == "redis://127.0.0.1:6379/0"


def test_an_object_without_a_url_follows_the_worker(load_app: Load) -> None:
    application = load_app("", "None", "-q", "*", "-r", "redis://worker:5/3")
    assert servers(application) == {"first": ("worker", 5), "second": ("worker", 5)}
    assert application.replaced == []
    # Also for the objects of modules that are imported later, and for child processes.
    assert FluxQueue().settings.display_url == "redis://worker:5/3"


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_the_worker_s_url_replaces_the_one_in_the_code(
    load_app: Load, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    options = ["-r", "redis://worker:5/3"]
    if by == "variable":
        monkeypatch.setenv("FLUXQUEUE_REDIS_URL", options.pop())
        options = []
    application = load_app("'redis://u:geheim@code:1'", "'redis://code:1/0'", "-q", "a", *options)
    assert application.settings.display_url == "redis://worker:5/3"
    # `b` has no queue of this worker, and names the Redis that was replaced.
    assert servers(application) == {"first": ("worker", 5), "second": ("worker", 5)}
    assert application.replaced == ["redis://code:1/0"]


def test_an_object_for_another_redis_and_other_queues_is_left_alone(load_app: Load) -> None:
    urls = "'redis://shop:1'", "'redis://ledger:2'"
    assert load_app(*urls, "-q", "a").settings.nodes == [("shop", 1)]
    assert load_app(*urls, "-q", "b").settings.nodes == [("ledger", 2)]
    application = load_app(*urls, "-q", "a", "-r", "redis://worker:5")
    assert servers(application) == {"first": ("worker", 5), "second": ("ledger", 2)}
    assert application.replaced == ["redis://shop:1/0"]


@pytest.mark.parametrize("other", ["'redis://ledger:2'", ""])
def test_different_redis_for_the_queues_of_one_worker_are_an_error(
    load_app: Load, other: str
) -> None:
    with pytest.raises(TasksError) as caught:
        load_app("'redis://u:geheim@shop:1'", other, "-q", "*")
    text = str(caught.value)
    assert "redis://shop:1/0 (queue 'a'); redis://" in text
    assert "choose it with -r" in text
    assert "geheim" not in text
    # The remedies that it names.
    one = load_app("'redis://shop:1'", other, "-q", "*", attribute=":a")
    assert one.settings.nodes == [("shop", 1)]
    moved = load_app("'redis://shop:1'", other, "-q", "*", "-r", "redis://worker:5")
    assert servers(moved) == {"first": ("worker", 5), "second": ("worker", 5)}


def test_the_same_redis_has_several_spellings() -> None:
    def same(one: str, other: str) -> bool:
        return redis_identity(Settings(one)) == redis_identity(Settings(other))

    assert same("redis://h", "redis://user:pw@h:6379/0?timeout=3")
    assert same("redis+sentinel://a,b/shop/1", "redis+sentinel://b,a:26379/shop?db=1")
    assert same("redis+cluster://a,b", "redis+cluster://:pw@b,a")
    assert same("unix:///run/a.sock", "unix:///run/a.sock?db=0")
    assert same("redis+cluster://localhost:7000,b", "redis+cluster://b,127.0.0.1:7000")
    assert same("redis://SHOP", "redis://shop.:6379")
    for one, other in [
        ("redis://127.0.0.1", "redis://127.0.0.2"),
        ("redis://127.0.0.1:6379", "redis://localhost:6380"),
        ("redis://localhost/1", "redis://[::1]/2"),
        ("redis://h", "redis://h/1"),
        ("redis://h", "redis://h:1"),
        ("redis+sentinel://a/shop", "redis+sentinel://a/mail"),
        ("redis+cluster://h", "redis://h"),
        ("unix:///run/a.sock", "unix:///run/b.sock"),
        ("unix:///run/a.sock", "unix:///run/a.sock?db=1"),
    ]:
        assert not same(one, other)


LOCAL = [
    *("redis://localhost", "redis://127.0.0.1:6379/0", "redis://[::1]:6379", "redis://LocalHost."),
    *("redis://user:pw@0.0.0.0?timeout=3", "redis://[::ffff:127.0.0.1]", "redis://me.localhost"),
]


def test_the_names_of_this_machine_are_one_redis(load_app: Load, tmp_path: Path) -> None:
    assert len({redis_identity(Settings(url)) for url in LOCAL}) == 1
    # Without -r, such objects of one worker agree.
    application = load_app("'redis://localhost'", "'redis://[::1]:6379/0'", "-q", "*")
    assert application.settings.display_url == "redis://localhost:6379/0"
    # With -r, nothing is replaced.
    application = load_app(
        "'redis://localhost'", "'redis://[::1]'", "-q", "*", "-r", "redis://127.0.0.1"
    )
    assert application.replaced == []
    # A link to a socket is that socket.
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    sockets = [Settings(f"unix://{tmp_path}/{name}/a.sock") for name in ("run", "link")]
    assert len({redis_identity(settings) for settings in sockets}) == 1


def test_only_one_process_of_a_worker_warns(load_app: Load, lines: Any) -> None:
    options = ["-q", "a", "-r", "redis://u:geheim@worker:5"]
    for extra in (["--suspects-lane=1"], ["--supervised=1,3,"], ["--supervised=0,3,"], []):
        load_app("'redis://u:geheim@code:1'", "", *options, *extra).warn(lines.logger())
        replaced = lines.named("worker.redis_replaced")
        assert len(replaced) == len(lines.named("worker.queues_not_served"))
        assert len(replaced) == {"--supervised=0,3,": 1}.get("".join(extra), 2 if not extra else 0)
    assert replaced[0]["redis"] == "redis://worker:5/0"
    assert replaced[0]["in_code"] == ["redis://code:1/0"]
    assert "geheim" not in str(lines)


def test_a_queue_left_out_knowingly_is_an_info_and_else_a_warning(
    load_app: Load, lines: Any
) -> None:
    load_app("", "", "-q", "a").warn(lines.logger())
    load_app("", "", "-q", "*").warn(lines.logger())
    [line] = lines.named("worker.queues_not_served")
    assert (line["level"], line["queues"]) == ("info", ["b"])
