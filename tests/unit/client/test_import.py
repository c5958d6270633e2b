"""Importing the client costs an application little."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

HEAVY = [
    "argparse",
    "asyncio",
    "decimal",
    "fluxqueue.arguments",
    "fluxqueue.cli",
    "fluxqueue.dev",
    "fluxqueue.embedded",
    "fluxqueue_worker",
    "importlib.metadata",
    "logging",
    "redis",
    "structlog",
    "subprocess",
    "uvloop",
]


def test_heavy_modules_are_imported_by_those_who_use_them() -> None:
    code = (
        "import sys, fluxqueue; fluxqueue.FluxQueue; "
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    # -S: what site-packages' .pth files import is not ours.
    path = "import sys; sys.path[:0] = " + repr(sys.path) + "; "
    done = subprocess.run(
        [sys.executable, "-S", "-c", path + code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# Modules that only some tasks, calls or applications need.
FEATURES = {
    "around_enqueue",
    "bulk",
    "call_options",
    "call_rules",
    "context",
    "conversion",
    "converters",
    "dependency_plan",
    "failure",
    "gathering",
    "keyed_task",
    "limits",
    "lock_rule",
    "outcome_reading",
    "periodic",
    "progress",
    "retry_errors",
    "retry_policy",
    "task_call",
    "typed_task",
    "waiting",
    "with_options",
}


def test_a_plain_task_loads_no_feature(redis_url: str) -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from fluxqueue import FluxQueue\n"
        f"@FluxQueue({redis_url!r}).task()\n"
        "def work(a: int) -> None: ...\n"
        "work(1)\n"
        "print(work.enqueue(2).id)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True
    )
    _, modules = done.stdout.splitlines()
    features = {f"fluxqueue.{name}" for name in FEATURES} | {"fluxqueue_core.limits", "msgspec"}
    assert features.isdisjoint(modules.split())


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_each_feature_is_a_module(name: str) -> None:
    # So that a module with another name does not make the test above say less.
    assert find_spec(f"fluxqueue.{name}") is not None


def test_each_public_name_is_of_the_module_that_it_is_loaded_from() -> None:
    import fluxqueue

    homes: dict[str, str] = vars(fluxqueue)["_HOMES"]
    assert {*fluxqueue.__all__} == {*homes, *fluxqueue.errors.__all__, "__version__"}
    for name, home in homes.items():
        assert getattr(fluxqueue, name) is vars(import_module(f"fluxqueue.{home}"))[name]


def test_a_sync_task_does_not_bring_asyncio() -> None:
    code = (
        "import sys, fluxqueue\n"
        "@fluxqueue.FluxQueue().task()\n"
        "def work(a: int) -> None: ...\n"
        "print('asyncio' in sys.modules)"
    )
    path = "import sys; sys.path[:0] = " + repr(sys.path) + "\n"
    done = subprocess.run(
        [sys.executable, "-S", "-c", path + code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_orjson_is_there_before_the_first_call() -> None:
    # Ctrl+C while a first call loads it would crash the process inside orjson.
    code = "import sys; from fluxqueue import FluxQueue; print('orjson' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_name_that_does_not_exist_is_an_error() -> None:
    import fluxqueue

    with pytest.raises(AttributeError, match="'fluxqueue' has no attribute 'Tusk'"):
        fluxqueue.Tusk  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Tusk' from 'fluxqueue'"):
        from fluxqueue import Tusk  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize(
    ("statements", "printed"),
    [
        ("import fluxqueue; print(fluxqueue.errors.TaskFailed.__name__)", "TaskFailed"),
        ("from fluxqueue import *; print(Limit.__name__)", "Limit"),
        ("import fluxqueue; print('TaskHandle' in dir(fluxqueue))", "True"),
        ("import fluxqueue; print(fluxqueue.__name__, hasattr(fluxqueue, '__x__'))",
         "fluxqueue False"),
    ],
)  # fmt: skip
def test_a_first_use_finds_all_names(statements: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", statements], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == printed


def test_everything_public_is_there() -> None:
    import fluxqueue
    import fluxqueue_core
    from fluxqueue import errors
    from fluxqueue_core import _core

    assert all(hasattr(fluxqueue, name) for name in fluxqueue.__all__)
    assert set(errors.__all__) <= set(fluxqueue.__all__)
    from fluxqueue_core import errors as core_errors

    defined = {name for name, value in vars(core_errors).items() if isinstance(value, type)}
    assert defined == set(errors.__all__)
    assert {*fluxqueue_core.__all__} == {*_core.__all__, "errors"}
    assert all(hasattr(fluxqueue_core, name) for name in fluxqueue_core.__all__)
