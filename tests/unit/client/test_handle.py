"""Handles of tasks, and the ids that callers choose."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from fluxqueue import (
    ConfigurationError,
    FluxQueue,
    ResultDeadlock,
    TaskHandle,
    gather_results_sync,
    served,
)
from fluxqueue_core.task_ids import LONGEST_ID, read_task_id

ID = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab"
# docs/protocol.md names it, for clients in other languages.
NAMESPACE = uuid.UUID("aad8b924-b3c1-5a96-be45-7669f336bacd")

app = FluxQueue("redis://127.0.0.1:1")


def test_handles_of_one_task_are_equal() -> None:
    handle = app.handle(ID, queue="mails")
    assert (handle.id, handle.queue, str(handle)) == (ID, "mails", ID)
    same = FluxQueue().handle(ID, queue="mails")
    assert handle == same
    assert {handle, same} == {handle}
    assert handle != app.handle(ID)
    assert handle != app.handle(str(uuid.uuid4()), queue="mails")
    assert handle != ID
    elsewhere = FluxQueue(namespace="shop").handle(ID, queue="mails")
    assert handle != elsewhere and len({handle, elsewhere}) == 2
    assert repr(handle) == f"<TaskHandle '{ID}' of queue 'mails'>"
    with pytest.raises(AttributeError):
        handle.note = 1  # type: ignore[attr-defined]


def test_a_uuid_is_the_id_in_lower_case() -> None:
    assert read_task_id(ID.upper()) == ID
    assert read_task_id(uuid.UUID(ID)) == ID


@pytest.mark.parametrize("text", ["order-17", "a", "ü" * LONGEST_ID, ID.replace("-", ""), "\x00"])
def test_other_text_always_gives_the_same_uuid(text: str) -> None:
    assert read_task_id(text) == str(uuid.uuid5(NAMESPACE, text))
    assert app.handle(text) == app.handle(read_task_id(text))


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ("", ConfigurationError, "task_id has 0 characters; give 1 to 256, or a UUID"),
        ("x" * 257, ConfigurationError, "task_id has 257 characters"),
        ("\ud800", ConfigurationError, "lone surrogate"),
        (17, TypeError, "task_id must be a str or a uuid.UUID, not int"),
        (None, TypeError, "not NoneType"),
        (b"order-17", TypeError, "not bytes"),
    ],
)
def test_a_bad_id_is_refused(value: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        app.handle(value)


@pytest.mark.parametrize(
    ("queue", "error", "said"),
    [("", ConfigurationError, "queue"), ("a b", ConfigurationError, "a b"), (5, TypeError, "int")],
)
def test_a_bad_queue_is_refused(queue: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        app.handle(ID, queue=queue)


def test_the_package_exports_the_class() -> None:
    assert isinstance(app.handle(ID), TaskHandle) and not app.handle(ID).created


def test_only_a_queue_of_the_workers_namespace_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "_by_process", (frozenset({"default"}), "shop"))
    url = "redis://127.0.0.1:1"
    with pytest.raises(ResultDeadlock):
        FluxQueue(url, namespace="shop").handle(ID)._check(False, 1)
    FluxQueue(url, namespace="blog").handle(ID)._check(False, 1)
    FluxQueue(url, namespace="").handle(ID)._check(False, 1)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 10**400, "5", None, True])
def test_a_timeout_is_a_number_of_seconds_up_to_a_year(timeout: Any) -> None:
    """Some event loops can't wait for an infinite time."""
    handle = app.handle(ID)
    with pytest.raises(ValueError, match=r"timeout is .*; give seconds from 0 to 31536000"):
        handle.result(timeout)
    with pytest.raises(ValueError, match="timeout is"):
        asyncio.run(handle.result_async(timeout))
    with pytest.raises(ValueError, match="timeout is"):
        gather_results_sync([handle], timeout)
