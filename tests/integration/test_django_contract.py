"""Django's own tests of the Tasks framework, of a pinned source distribution, pass with FluxQueue's
backend, except for those that are listed here, each with its reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import django
import pytest
from support.django_process import TESTS
from support.django_source import archive, unpack_tests

pytestmark = pytest.mark.xdist_group("django")

# By test -> why it does not pass with any backend that runs tasks in a worker and keeps results.
NOT_FOR_A_QUEUE = {
    "test_dummy_backend.DummyBackendTestCase.test_clear": "forgets the tasks, by a list",
    "test_dummy_backend.DummyBackendTestCase.test_refresh_result": "writes a status into the list",
    "test_dummy_backend.DummyBackendTestCase.test_refresh_result_async": "the same",
    "test_immediate_backend.ImmediateBackendTestCase.test_cannot_get_result": "it can",
    "test_immediate_backend.ImmediateBackendTestCase.test_cannot_refresh_result": "it can",
    "test_immediate_backend.ImmediateBackendTestCase.test_cannot_pass_run_after": "it can",
    "test_immediate_backend.ImmediateBackendTestCase.test_throws_keyboard_interrupt": (
        "no task ends its worker: it fails, and the caller is in another process"
    ),
}
# The same, before Django 6.1.
OLDER = {
    "test_tasks.TaskTestCase.test_pickle_task": "tasks can be pickled from 6.1 on",
    "test_tasks.TaskTestCase.test_pickle_task_result": "the same",
    "test_tasks.TaskTestCase.test_unpickle_arbitrary_string": "the same",
    "test_tasks.TaskTestCase.test_unpickle_non_task_object": "the same",
    "test_tasks.TaskTestCase.test_run_after_in_decorator": "another text of the error before 6.1",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `tasks/` of Django's tests."""
    unpack_tests(archive(tmp_path), tmp_path)
    return tmp_path


def test_the_contract_of_django_holds(folder: Path, redis_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "support.django_contract", folder],
        env={**os.environ, "PYTHONPATH": str(TESTS), "FLUXQUEUE_REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    ends: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert len(ends) > 70
    expected = {*NOT_FOR_A_QUEUE, *(OLDER if django.VERSION < (6, 1) else ())}
    failed = {test: text for test, text in ends.items() if text != "passed"}
    surprises = {test: text for test, text in failed.items() if test not in expected}
    assert not surprises, "\n".join(f"{test}: {text}" for test, text in surprises.items())
    assert expected - failed.keys() == set(), "these pass: take them off the lists"
