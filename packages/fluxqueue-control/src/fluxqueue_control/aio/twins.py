"""Runs sync functions in threads: each as a coroutine, or as an async iterator."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Calls that a process runs at once, and with that the connections to each server. Others wait.
THREADS = 16

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fluxqueue-control")
_END = object()


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Calls a function in a thread, with the context of the caller; returns and raises as it
    does."""
    call = partial(copy_context().run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_pool, call)


def twin(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Returns the coroutine function that runs `function` in a thread."""

    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return await in_thread(function, *args, **kwargs)

    return call


def iterating_twin(function: Callable[P, Iterator[R]]) -> Callable[P, AsyncGenerator[R, None]]:
    """Returns the function whose async iterator takes each item of that of `function` in a thread,
    once the caller asks for it."""

    @wraps(function)
    async def iterate(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R, None]:
        # The thread of a call that was cancelled may still run.
        lock = threading.Lock()
        items = await in_thread(function, *args, **kwargs)

        def following() -> Any:
            with lock:
                return next(items, _END)

        def close() -> None:
            with lock:
                getattr(items, "close", lambda: None)()

        try:
            while (item := await in_thread(following)) is not _END:
                yield item
        finally:
            with suppress(RuntimeError):  # the interpreter ends
                _pool.submit(close)

    return iterate
