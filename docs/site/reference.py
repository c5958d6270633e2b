"""The reference of the Python API: directives, which mkdocstrings replaces with docstrings."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """A page of the reference.

    Attributes:
        members: modules, all of whose public names are shown, or `module:name`.
    """

    title: str
    summary: str
    members: tuple[str, ...]


CONTROL = (
    *("servers", "registry", "queues", "workers", "tasks", "dead", "groups", "requeue"),
    *("cancelling", "moving", "purge", "pausing", "jobs", "selection", "strikes", "limits"),
    *("periodic", "search", "stats", "ages", "audit"),
)
# Applications get these from a call, and never make one.
MADE_BY_US = {
    *("AsyncTask", "AsyncTaskWithOptions", "Context", "Failure", "Limit", "Progress", "Task"),
    *("TaskCall", "TaskHandle", "TaskMetadata", "TaskWithOptions"),
}

PAGES = {
    "fluxqueue": Page("fluxqueue", "What an application imports.", ("fluxqueue",)),
    "options": Page(
        "Options",
        "The options of a task, of a call and of a periodic task.",
        (
            "fluxqueue.options:TaskOptions",
            "fluxqueue.call_options:CallOptions",
            "fluxqueue.periodic:PeriodicOptions",
        ),
    ),
    "testing": Page(
        "fluxqueue.testing",
        "Tests of applications; [testing](../testing.md) shows how to use it.",
        ("fluxqueue.testing", "fluxqueue_worker.pytest_plugin"),
    ),
    "worker": Page(
        "fluxqueue_worker",
        "A worker in another program's process; [workers](../workers.md) describes it.",
        ("fluxqueue_worker.embedded_worker:EmbeddedWorker",),
    ),
    "frameworks": Page(
        "Frameworks and middleware",
        "[Django](../django.md), [FastAPI and Starlette](../fastapi.md), [Flask](../flask.md), and "
        "the [middleware](../middleware.md) that comes with FluxQueue.",
        (
            "fluxqueue.django",
            "fluxqueue.fastapi",
            "fluxqueue.starlette",
            "fluxqueue.flask",
            "fluxqueue.log_context",
            "fluxqueue.prometheus",
            "fluxqueue.sentry",
        ),
    ),
    "control": Page(
        "fluxqueue_control",
        "What tools read and change. "
        "[Its page](../repository/packages/fluxqueue-control/README.md) lists all modules; "
        "`fluxqueue_control.aio` has coroutines of the same names.",
        tuple(f"fluxqueue_control.{name}" for name in CONTROL),
    ),
    "dashboard": Page(
        "fluxqueue_dashboard",
        "The [dashboard](../dashboard.md) as a part of another application.",
        ("fluxqueue_dashboard.app:dashboard", "fluxqueue_dashboard.access"),
    ),
    "core": Page(
        "fluxqueue_core",
        "The settings that client, worker and tools share.",
        ("fluxqueue_core:Settings",),
    ),
}


_MODULE = """::: {}
    options:
      heading_level: 2
      members: false
      show_root_full_path: true
"""
# griffe reads the stub of the core in another way if it finds the built core next to it.
_OF_STUBS = """      docstring_options:
        warn_unknown_params: false
        warn_missing_types: false
"""


def text(page: Page) -> str:
    """Returns the Markdown of a page."""
    parts = [f"# {page.title}\n\n{page.summary}\n"]
    for member in page.members:
        module, _, name = member.partition(":")
        if not name and len(page.members) > 1:
            parts.append(_MODULE.format(module))
        for each in [name] if name else public_names(module):
            level = 2 if name or len(page.members) == 1 else 3
            options = f"    options:\n      heading_level: {level}\n"
            if module == "fluxqueue_core":
                options += _OF_STUBS
            if each in MADE_BY_US:
                options += "      merge_init_into_class: false\n"
            parts.append(f"::: {module}.{each}\n{options}")
    return "\n".join(parts)


def public_names(module: str) -> Iterator[str]:
    """Yields what a module exports: `__all__`, or the functions and classes that it defines."""
    loaded = importlib.import_module(module)
    if hasattr(loaded, "__all__"):
        yield from (name for name in loaded.__all__ if not name.startswith("__"))
        return
    for name, value in vars(loaded).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module:
            yield name
