"""Tasks whose first parameter is the context that the worker passes."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import fluxqueue
import pytest
from fluxqueue import Context, FluxQueue, TaskMetadata

if TYPE_CHECKING:
    from fluxqueue import Context as Unknown


class AppContext(Context):
    @property
    def database(self) -> str:
        return str(self.thread_storage.setdefault("database", "connection"))


app = FluxQueue("redis://127.0.0.1:1")


@app.task_with_context()
def resize(ctx: fluxqueue.Context, image_id: int, width: int = 100) -> str:
    return f"{image_id} {width} {ctx.metadata.task_id}"


@app.task_with_context(queue="images")
async def resize_async(ctx: AppContext, /, image_id: int) -> str:
    return f"{image_id} {ctx.database}"


def metadata() -> TaskMetadata:
    return TaskMetadata("id", 1, 3, datetime(2026, 1, 2, tzinfo=UTC))


def test_the_context_is_not_part_of_the_calls_signature() -> None:
    assert list(inspect.signature(resize).parameters) == ["image_id", "width"]
    assert list(inspect.signature(resize_async).parameters) == ["image_id"]
    with pytest.raises(TypeError, match=r"resize\(\) takes from 1 to 2 positional arguments but 3"):
        resize(1, 2, 3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'ctx'"):
        resize(ctx=1, image_id=1)  # type: ignore[call-arg]


def test_the_task_knows_the_class_of_its_context() -> None:
    assert resize.context_type is Context
    assert resize_async.context_type is AppContext


def test_the_function_can_be_tested_with_a_context_of_ones_own() -> None:
    assert resize.func(Context(metadata(), {}), 7) == "7 100 id"
    storage: dict[str, Any] = {}
    context = AppContext(metadata(), storage)
    assert context.database == "connection"
    assert storage == {"database": "connection"}
    assert "AppContext(TaskMetadata(task_id='id', retries=1" in repr(context)


def test_metadata_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        metadata().retries = 0  # type: ignore[misc]


def test_a_class_local_to_a_function_is_found() -> None:
    class LocalContext(Context): ...

    @FluxQueue().task_with_context()
    def task(ctx: LocalContext) -> None: ...

    assert task.context_type is LocalContext


def none() -> None: ...
def unannotated(ctx, a: int) -> None: ...  # type: ignore[no-untyped-def]
def other_type(ctx: int) -> None: ...
def optional(ctx: Context | None) -> None: ...
def keyword_only(*, ctx: Context) -> None: ...
def variadic(*ctx: Context) -> None: ...
def second(a: int, ctx: Context) -> None: ...
def type_checking_only(ctx: Unknown) -> None: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (none, "has no first parameter for the context"),
        (unannotated, "'ctx', has no annotation; annotate it as fluxqueue.Context"),
        (other_type, "is annotated int"),
        (optional, r"is annotated fluxqueue.context.Context \| None"),
        (keyword_only, "has no first parameter for the context"),
        (variadic, "has no first parameter for the context"),
        (second, "'a', is annotated int"),
        (type_checking_only, "outside `if TYPE_CHECKING`"),
    ],
)
def test_without_such_a_parameter_the_decorator_refuses(function: Any, said: str) -> None:
    fluxqueue = FluxQueue()
    with pytest.raises(TypeError, match=said):
        fluxqueue.task_with_context()(function)
    assert not fluxqueue.tasks
