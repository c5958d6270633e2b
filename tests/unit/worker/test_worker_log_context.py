"""The lines of an application's own loggers name the task that writes them."""

from __future__ import annotations

import asyncio
import contextvars
import io
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from fluxqueue.log_context import LogContext, TaskFilter, add_task_fields, task_fields

Run = Callable[..., Any]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """The text that the logger `shop` writes, through a `TaskFilter`."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(
        logging.Formatter("%(task_id)s|%(task_name)s|%(queue)s|%(attempt)s|%(message)s")
    )
    handler.addFilter(TaskFilter())
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield text
    logger.removeHandler(handler)


def work() -> None:
    logging.getLogger("shop").info("from the task")
    own = contextvars.copy_context()
    thread = threading.Thread(target=own.run, args=(logging.getLogger("shop").info, "beside"))
    thread.start()
    thread.join()


async def work_async() -> None:
    await asyncio.sleep(0)
    logging.getLogger("shop").info("from the task")

    async def beside() -> None:
        logging.getLogger("shop").info("beside")

    await asyncio.create_task(beside())


BOTH = pytest.mark.parametrize("func", [work, work_async], ids=["sync", "async"])


@BOTH
def test_lines_of_logging_name_the_task(func: Any, run: Run, written: io.StringIO) -> None:
    run(func, LogContext(), retries=1)
    run(func)
    logging.getLogger("shop").info("outside")
    first, second, *others = written.getvalue().splitlines()
    task_id, *rest = first.split("|")
    assert task_id.startswith("id-")
    assert rest == [func.__name__, "default", "2", "from the task"]
    assert second.split("|")[0] == task_id and second.endswith("beside")
    assert others == ["||||from the task", "||||beside", "||||outside"]
    assert task_fields() == {}


@BOTH
def test_lines_of_structlog_name_the_task(func: Any, run: Run) -> None:
    seen: list[dict[str, Any]] = []

    def keep(logger: Any, method: str, event: Any) -> Any:
        seen.append(dict(event))
        raise structlog.DropEvent

    def logger(*processors: Any) -> Any:
        return structlog.wrap_logger(None, processors=[*processors, keep])

    def log() -> None:
        logger(structlog.contextvars.merge_contextvars).info("merged")
        logger(add_task_fields).info("added", queue="own")

    async def log_async() -> None:
        await asyncio.sleep(0)
        log()

    run(log_async if func is work_async else log, LogContext(headers=["tenant", "absent"]),
        headers={"tenant": "acme", "other": "x"})  # fmt: skip
    run(log)
    name = "log_async" if func is work_async else "log"
    fields = {"task_name": name, "attempt": 1, "tenant": "acme"}
    assert len(seen) == 4
    for event in seen[:2]:
        assert event.pop("task_id").startswith("id-")
    assert seen == [
        {"event": "merged", "queue": "default", **fields},
        {"event": "added", "queue": "own", **fields},
        {"event": "merged"},
        {"event": "added", "queue": "own"},
    ]


def test_an_extra_of_the_application_wins(run: Run, written: io.StringIO) -> None:
    def say() -> None:
        logging.getLogger("shop").info("x", extra={"task_name": "mine"})

    run(say, LogContext())
    assert written.getvalue().split("|")[1] == "mine"
