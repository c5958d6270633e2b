"""Importing the client costs an application little."""

from __future__ import annotations

import subprocess
import sys

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
