"""Finding the application's module and its tasks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fluxqueue import FluxQueue
from fluxqueue_worker.registered_task import Tasks
from fluxqueue_worker.task_loader import TasksError, chosen, find, module_name, served, tasks_of

APP = """
from fluxqueue import FluxQueue

fluxqueue = FluxQueue()
other = FluxQueue()

@fluxqueue.task()
def here(): ...

@fluxqueue.task(name="renamed", max_retries=7, retry_delay=2)
async def there(): ...

@other.task(queue="mail")
def send(): ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, on the Python path, with the package `shop`."""
    known = set(sys.modules)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "tasks.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def load(path: str, queues: list[str]) -> Tasks:
    paths = path.split(",")
    return served(find(paths).tasks, queues, path)


@pytest.mark.parametrize(
    "path",
    ["shop.tasks", "shop/tasks", "shop/tasks.py", "./shop/tasks.py", "{folder}/shop/tasks.py"],
)
def test_a_module_has_several_spellings(folder: Path, path: str) -> None:
    tasks = load(path.format(folder=folder), ["default", "mail"])
    default = tasks.declared["default"]
    assert set(default) == {"here", "renamed"}
    assert set(tasks.declared["mail"]) == {"send"}
    assert set(tasks.anywhere) == {"here", "renamed", "send"}
    assert default["renamed"].is_async
    assert default["renamed"].terms.retry_delay == 2
    assert not default["here"].is_async


def test_an_app_object_brings_its_own_tasks_only(folder: Path) -> None:
    assert set(load("shop.tasks:fluxqueue", ["default"]).anywhere) == {"here", "renamed"}
    assert set(load("shop/tasks.py:other", ["mail"]).anywhere) == {"send"}
    assert set(load("shop.tasks:send", ["mail"]).anywhere) == {"send"}


@pytest.mark.parametrize(
    ("path", "queues", "text"),
    [
        ("nowhere", ["default"], "there is no module 'nowhere'"),
        ("shop.nowhere", ["default"], "there is no module 'shop.nowhere'"),
        ("shop.tasks.deeper", ["default"], "'shop.tasks' is a module, not a package"),
        ("shop tasks", ["default"], "not the name of a module"),
        ("", ["default"], "not the name of a module"),
        ("../elsewhere.py", ["default"], "not below the working directory"),
        ("shop.tasks:nothing", ["default"], "it has fluxqueue, other"),
        ("shop", ["default"], "it has no tasks at all"),
        (
            "shop.tasks",
            ["default", "absent"],
            "no task for queue 'absent'; it has tasks for 'default': here, renamed; 'mail': send;"
            " if calls choose that queue by options(queue=...), declare one of their tasks for it",
        ),
    ],
)
def test_an_error_is_one_line(folder: Path, path: str, queues: list[str], text: str) -> None:
    with pytest.raises(TasksError) as caught:
        load(path, queues)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import shop.missing", ModuleNotFoundError),
        ("import missing_altogether", ModuleNotFoundError),
        ("from shop import missing", ImportError),
        ("1 / 0", ZeroDivisionError),
        ("def f(:", SyntaxError),
    ],
)
def test_errors_inside_the_module_stay_what_they_are(
    folder: Path, source: str, error: type[Exception]
) -> None:
    (folder / "shop" / "broken.py").write_text(source)
    with pytest.raises(error):
        load("shop.broken", ["default"])


def test_an_error_of_the_package_is_not_a_missing_module(folder: Path) -> None:
    (folder / "shop" / "__init__.py").write_text("import missing_altogether")
    with pytest.raises(ModuleNotFoundError, match="missing_altogether"):
        load("shop.tasks", ["default"])


def declare(queue: FluxQueue, name: str, queue_name: str) -> Any:
    def function() -> str:
        return queue_name

    return queue.task(name=name, queue=queue_name)(function)


def test_a_name_known_on_one_other_queue_is_served_and_an_ambiguous_one_is_not(
    queue: FluxQueue,
) -> None:
    tasks = [
        declare(queue, "own", "a"),
        declare(queue, "elsewhere", "b"),
        declare(queue, "ambiguous", "b"),
        declare(queue, "ambiguous", "c"),
        declare(queue, "own", "c"),
    ]
    found = served(tasks, ["a"], "app")
    assert set(found.declared["a"]) == {"own"}
    assert set(found.anywhere) == {"elsewhere"}
    assert found.declared["a"]["own"].func() == "a"
    assert found.anywhere["elsewhere"].func() == "b"
    assert len(list(found)) == 2


def test_many_queues_share_one_table_of_the_tasks_of_others(queue: FluxQueue) -> None:
    tasks = [declare(queue, f"task{i}", f"queue{i}") for i in range(100)]
    found = served(tasks, [f"queue{i}" for i in range(100)], "app")
    assert sum(len(table) for table in found.declared.values()) == len(found.anywhere) == 100


def test_two_tasks_of_one_name_are_refused() -> None:
    first, second = FluxQueue("redis://127.0.0.1:1"), FluxQueue("redis://127.0.0.1:1")
    both = [declare(first, "same", "a"), declare(second, "same", "a")]
    with pytest.raises(TasksError, match="two tasks of queue 'a' are named 'same'"):
        served(both, ["a"], "app")


def test_tasks_are_found_once_by_app_and_by_name(queue: FluxQueue) -> None:
    task = declare(queue, "one", "a")
    module = ModuleType("app")
    vars(module).update(app=queue, one=task, again=task, something=3)
    assert tasks_of(vars(module).values()) == [task]


def test_a_task_that_is_declared_without_its_code_is_not_served(folder: Path) -> None:
    (folder / "shop" / "producer.py").write_text(
        "from fluxqueue import FluxQueue\n"
        "fluxqueue = FluxQueue()\n"
        "def send(to: str) -> None: ...\n"
        "mail = fluxqueue.declare('send', queue='mails', signature=send)\n"
        "async_mail = fluxqueue.declare('send_later', queue='mails')\n"
        "@fluxqueue.task()\n"
        "def own(): ...\n"
    )
    assert [task.task_name for task in find(["shop.producer"]).tasks] == ["own"]
    with pytest.raises(TasksError, match="has no task for queue 'mails'"):
        load("shop.producer", ["mails"])
    with pytest.raises(TasksError, match="has no task"):
        load("shop.producer:mail", ["mails"])


def test_the_signature_that_arguments_are_checked_against_has_no_context(folder: Path) -> None:
    (folder / "shop" / "context.py").write_text(
        "from fluxqueue import Context, FluxQueue\n"
        "q = FluxQueue()\n"
        "@q.task_with_context()\n"
        "def use(ctx: Context, number: int): ...\n"
    )
    task = load("shop.context", ["default"]).declared["default"]["use"]
    task.check(1)
    with pytest.raises(TypeError):
        task.check()
    with pytest.raises(TypeError):
        task.check(1, 2)


MORE = """
from shop.tasks import fluxqueue, here

@fluxqueue.task(queue="mail")
def letter(): ...
"""


def test_several_modules_have_one_registry(folder: Path) -> None:
    (folder / "shop" / "more.py").write_text(MORE)
    tasks = load("shop/tasks.py,shop.more,shop.tasks", ["default", "mail"])
    assert set(tasks.declared["default"]) == {"here", "renamed"}
    assert set(tasks.declared["mail"]) == {"send", "letter"}
    # `shop.more` adds to the object of `shop.tasks`, and `find` names each object once.
    assert len(find(["shop.tasks", "shop.more"]).brokers) == 2
    assert set(load("shop.tasks:other,shop.more:letter", ["mail"]).anywhere) == {"send", "letter"}


def test_one_name_from_two_modules_is_refused(folder: Path) -> None:
    (folder / "one.py").write_text(APP)
    (folder / "other.py").write_text(APP)
    with pytest.raises(TasksError, match=r"named 'here': one\.here and other\.here; give one"):
        load("one,other", ["default"])


def test_a_module_that_ends_the_process_is_named(folder: Path) -> None:
    (folder / "script.py").write_text("import sys; sys.exit()")
    with pytest.raises(TasksError, match=r"importing 'script' calls sys\.exit\(\)"):
        load("shop.tasks,script", ["default"])


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (("*",), ("a", "b", "c")),
        (("c", "*"), ("c", "a", "b")),
        (("*", "b"), ("a", "c", "b")),
        (("b",), ("b",)),
        (("x", "*"), ("x", "a", "b", "c")),
    ],
)
def test_an_asterisk_is_all_other_queues(named: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert chosen(named, ["a", "b", "c"]) == found


def test_an_asterisk_without_any_task_is_an_error() -> None:
    with pytest.raises(TasksError, match="'app': it has no tasks at all"):
        served([], chosen(("*",), []), "app")


def test_the_module_of_a_package_itself(folder: Path) -> None:
    assert module_name("shop/__init__.py") == "shop"
    assert module_name("shop") == "shop"


@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit"])
def test_an_object_of_a_module_may_raise_when_asked_for_its_class(folder: Path, error: str) -> None:
    lazy = f"""
class Lazy:
    @property
    def __class__(self):
        raise {error}("not configured")

lazy = Lazy()
"""
    (folder / "shop" / "lazy.py").write_text(lazy + APP)
    assert load("shop.lazy", ["mail"]).declared["mail"].keys() == {"send"}
    with pytest.raises(TasksError, match="it has fluxqueue, other"):
        find(["shop.lazy:missing"])
