"""The shared values of async functions: each belongs to one event loop."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Any, Protocol

from fluxqueue.dependency_forms import Provider

from .error_text import own_frame
from .opened import Opened, close_all_async, opener

running_loop = asyncio.get_running_loop


class AllValues(Protocol):
    """Knows sync values too; the worker's is `SharedValues`."""

    async def get_async(self, provider: Provider, /) -> Any: ...


class LoopValues:
    """The values of one loop. Use it on that loop.

    Args:
        everything: has the values that these take.
        context: the context (`contextvars`) whose copy each value has.
    """

    def __init__(self, everything: AllValues, context: Context) -> None:
        self._everything = everything
        self._context = context
        # By the keys of their providers.
        self._hosts: dict[Any, _Host] = {}
        # In the order in which they were made.
        self._made: list[_Host] = []
        self._ended = False

    @own_frame
    async def get(self, provider: Provider) -> Any:
        """Returns the value of an async provider, made for the first attempt that asks. The others
        wait meanwhile."""
        host = self._hosts.get(provider.key)
        if host is None:
            if self._ended:
                raise RuntimeError("the worker has ended its shared values, and makes no more")
            host = self._hosts[provider.key] = _Host(provider)
            life = self._live(host)
            host.task = asyncio.Task(life, loop=running_loop(), context=self._context.copy())
        if not host.value.done():
            # If this attempt is cancelled, others may still wait for the value.
            await asyncio.wait([host.value])
        return host.value.result()

    async def end(self) -> list[tuple[str, BaseException]]:
        """Ends the values, the last one first. Returns what failed: the name of its function, and
        the error."""
        self._ended = True
        failures: list[tuple[str, BaseException]] = []
        while self._made:
            host = self._made.pop()
            host.ending.set()
            await asyncio.wait([host.task])
            if not host.task.cancelled() and (error := host.task.exception()) is not None:
                failures.append((host.provider.name, error))
        return failures

    @own_frame
    async def _live(self, host: _Host) -> None:
        provider, opened = host.provider, list[Opened]()
        try:
            needed = provider.shared.items()
            given = {name: await self._everything.get_async(each) for name, each in needed}
            value = await opener(provider)(opened, given)
        except BaseException as error:  # noqa: BLE001 - it is each waiting attempt's
            # The next attempt tries again.
            del self._hosts[provider.key]
            host.value.set_exception(error)
            host.value.exception()  # read, even if no attempt waits any more
            await close_all_async(opened, error)
            return
        self._made.append(host)
        host.value.set_result(value)
        try:
            await host.ending.wait()
        except BaseException as error:  # the application has cancelled all tasks of the loop
            del self._hosts[provider.key]
            self._made.remove(host)
            await close_all_async(opened, error)
            raise
        await close_all_async(opened, None)


class _Host:
    """Hosts one value in an asyncio task from its beginning to its end: a cancel scope, for
    example, must end in the task that has begun it.

    Attributes:
        value: the value, or the error of its making.
        ending: set it to end the value.
    """

    task: asyncio.Task[None]

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.value: asyncio.Future[Any] = running_loop().create_future()
        self.ending = asyncio.Event()
