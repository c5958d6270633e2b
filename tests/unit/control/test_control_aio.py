"""Each public function of the control package that asks Redis has a coroutine of its name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import fluxqueue_control
import pytest

# They make clients and judge their replies, or are parts of others, and the twins run below them.
# Commands are programs.
BELOW = {
    "aio",
    "candidates",
    "commands",
    "connect",
    "connections",
    "errors",
    "job_record",
    "job_steps",
    "narrowing",
    "noting",
    "redis_client",
    "scanning",
    "servers",
    "sources",
    "topology",
}


def asking_functions(module: Any) -> dict[str, Callable[..., Any]]:
    """The public functions of a module whose first argument is a client, or finds one."""
    found: dict[str, Callable[..., Any]] = {}
    for name, function in vars(module).items():
        if name.startswith("_") or getattr(function, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(function):
            parameters = [*inspect.signature(function).parameters.values()]
            if parameters and "RedisClient" in str(parameters[0].annotation):
                found[name] = function
    return found


THERE = {name for _, name, _ in pkgutil.iter_modules(fluxqueue_control.__path__)}
MODULES = [
    name
    for name in sorted(THERE)
    if name not in BELOW and asking_functions(importlib.import_module(f"fluxqueue_control.{name}"))
]


def test_the_modules_are_found() -> None:
    assert {"dead", "purge", "requeue", "tasks", "workers"} <= set(MODULES)


def test_each_module_without_twins_is_there() -> None:
    assert BELOW <= THERE, BELOW - THERE


@pytest.mark.parametrize("name", MODULES)
def test_each_function_has_its_coroutine(name: str) -> None:
    sync = importlib.import_module(f"fluxqueue_control.{name}")
    twins = vars(importlib.import_module(f"fluxqueue_control.aio.{name}"))
    for function, body in asking_functions(sync).items():
        twin: Any = twins.get(function)
        assert getattr(twin, "__wrapped__", None) is body, f"aio.{name} lacks {function}"
        assert inspect.signature(twin) == inspect.signature(body)
        iterates = "Iterator" in str(inspect.signature(body).return_annotation)
        assert inspect.isasyncgenfunction(twin) is iterates, function
        assert inspect.iscoroutinefunction(twin) is not iterates, function
