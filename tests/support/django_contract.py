"""Runs Django's own tests of the Tasks framework against FluxQueue's backend, in this process.

    python -m support.django_contract FOLDER

FOLDER has `tasks/`, the folder `tests/tasks` of a source distribution of Django. Its tests name
two backends of Django; in their place this puts FluxQueue's: one that keeps a list of what it
has enqueued, and one that waits for the end of each task, which a worker in this process runs.
With Django 5.2 the tests take the framework of `django-tasks`. Prints JSON: how each test ended.
"""

from __future__ import annotations

import json
import re
import sys
import unittest
from pathlib import Path
from typing import Any

import django
from django.conf import settings

BACKENDS = {
    "django.tasks.backends.dummy": ("DummyBackend", "ListingBackend"),
    "django.tasks.backends.immediate": ("ImmediateBackend", "WaitingBackend"),
}
HERE = "support.django_contract_backends"
# Texts of Django 6, and those of `django-tasks`.
OLDER = {
    'assertLogs("django.tasks"': 'assertLogs("django_tasks"',
    'assertNoLogs("django.tasks"': 'assertNoLogs("django_tasks"',
    "does not support async Tasks.": "does not support async tasks.",
}


def rewrite(folder: Path) -> None:
    """Lets the tests use the backends of FluxQueue."""
    for file in (folder / "tasks").glob("*.py"):
        text = file.read_text()
        for module, (old, new) in BACKENDS.items():
            text = text.replace(f"from {module} import {old}", f"from {HERE} import {new} as {old}")
            text = text.replace(f"{module}.{old}", f"{HERE}.{new}")
        if django.VERSION < (6, 0):
            for newer, older in OLDER.items():
                text = text.replace(newer, older)
        file.write_text(text)


def name_as_django_6() -> None:
    """Gives the modules of `django-tasks` the names that they have in Django 6."""
    import django_tasks.backends.base
    import django_tasks.exceptions

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "django_tasks":
            sys.modules[name.replace("django_tasks", "django.tasks", 1)] = module
    found: Any = django_tasks.exceptions
    found.InvalidTask = found.InvalidTaskError
    found.InvalidTaskBackend = found.InvalidTaskBackendError


class Result(unittest.TestResult):
    """How each test ended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ends: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.ends[short(test)] = "passed"

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self.ends[short(test)] = self.errors[-1][1]

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self.ends[short(test)] = self.failures[-1][1]

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.ends[short(test)] = (self.failures + self.errors)[-1][1]


def short(test: unittest.TestCase) -> str:
    """The module, the class and the name of a test."""
    return re.sub(r"^tasks\.", "", test.id())


def main(folder: Path) -> dict[str, str]:
    """Returns how each test ended: `passed`, or its traceback."""
    rewrite(folder)
    sys.path.insert(0, str(folder))
    settings.configure(
        SECRET_KEY="of a test",
        USE_TZ=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            *(["django_tasks"] if django.VERSION < (6, 0) else []),
            "fluxqueue.django",
            "tasks",
        ],
        TASKS={"default": {"BACKEND": f"{HERE}.ListingBackend", "QUEUES": ["default", "queue_1"]}},
    )
    django.setup()
    if django.VERSION < (6, 0):
        name_as_django_6()
    loader = unittest.TestLoader()
    names = ["test_tasks", "test_dummy_backend", "test_immediate_backend"]
    suite = loader.loadTestsFromNames([f"tasks.{name}" for name in names])
    result = Result()
    suite.run(result)
    return result.ends


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
