"""Handles in a pickle, and copies of handles."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import FluxQueue, TaskHandle

ID = "019aa0c2-7b1f-7c3e-8d2a-0123456789ab"

app = FluxQueue("redis://user:secret@127.0.0.1:1/3?timeout=4", namespace="pickles")


@dataclass
class Size:
    width: int


@app.task(result_ttl=60)
def measure() -> Size: ...  # type: ignore[empty-body]


@app.task()
def plain() -> int: ...  # type: ignore[empty-body]


def test_a_handle_is_the_same_after_a_pickle() -> None:
    for handle in (app.handle(ID, queue="mails"), measure._handle(), plain._handle()):
        again = pickle.loads(pickle.dumps(handle))
        assert again == handle and type(again) is type(handle)
        assert (again.created, again._keeps) == (handle.created, handle._keeps)
        assert again._broker is handle._broker
    with pytest.raises(AttributeError):
        again.note = 1


def test_the_result_has_its_type_after_a_pickle() -> None:
    again: TaskHandle[Any] = pickle.loads(pickle.dumps(measure._handle()))
    assert again._value(b'{"state":"succeeded","value":{"width":3}}') == Size(3)
    again = pickle.loads(pickle.dumps(plain._handle()))
    assert again._value(b'{"state":"succeeded","value":3}') == 3


def test_a_result_of_a_local_class_can_not_be_pickled() -> None:
    @dataclass
    class Local:
        width: int

    @app.task(result_ttl=60)
    def of_local() -> Local: ...  # type: ignore[empty-body]

    with pytest.raises((AttributeError, pickle.PicklingError), match="Local"):
        pickle.dumps(of_local._handle())


def test_no_user_and_no_password_is_in_the_pickle() -> None:
    pickled = pickle.dumps(measure._handle())
    assert b"secret" not in pickled and b"user" not in pickled and b"127.0.0.1:1/3" in pickled


def test_a_copy_is_the_handle_itself() -> None:
    handle = measure._handle()
    assert copy.copy(handle) is handle and copy.deepcopy([handle])[0] is handle


UNPICKLE = """
import pickle, sys
from fluxqueue import FluxQueue
apps = [FluxQueue(url) for url in sys.argv[1:]]
handle = pickle.load(sys.stdin.buffer)
print(handle.id, handle._broker.settings.url)
"""


@pytest.mark.parametrize(
    ("variable", "urls", "found"),
    [
        # Its own objects: the one of the same address, or the only one.
        ("", ["redis://b:2", "redis://:pw@a:1/0"], "redis://:pw@a:1/0"),
        ("", ["redis://:pw@a:1/0", "redis://other@a:1/0"], "redis://:pw@a:1/0"),
        ("", ["redis://alias:1"], "redis://alias:1/0"),
        # Without an object: the default.
        ("redis://:pw@a:1/0", [], "redis://:pw@a:1/0"),
        ("redis://b:2", [], None),
        ("", [], None),
        ("", ["redis://b:2", "redis://c:3"], None),
    ],
)
def test_another_process_uses_its_own_redis(
    tmp_path: Path, variable: str, urls: list[str], found: str | None
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
    if variable:
        environment["FLUXQUEUE_REDIS_URL"] = variable
    child = subprocess.run(
        [sys.executable, "-c", UNPICKLE, *urls],
        input=pickle.dumps(FluxQueue("redis://:mine@a:1/0").handle(ID)),
        capture_output=True,
        env=environment,
        cwd=tmp_path,
    )
    if found is None:
        assert child.returncode == 1
        assert b"no FluxQueue object for the Redis of the handle (redis://a:1/0)" in child.stderr
    else:
        assert child.stdout.decode().split() == [ID, found], child.stderr.decode()
