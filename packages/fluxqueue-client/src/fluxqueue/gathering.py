"""Waits for the results of many tasks at once, over one connection."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .awaited_call import AwaitedMethod
from .blocking import warn_of_blocked_wait
from .handle import DEFAULT_TIMEOUT, TaskHandle
from .progress import is_report

if TYPE_CHECKING:
    from fluxqueue_core import Settings

R = TypeVar("R")


@overload
def gather_results_sync(
    handles: Iterable[TaskHandle[R]],
    timeout: float = ...,
    *,
    return_exceptions: Literal[False] = ...,
    in_worker: bool = ...,
) -> list[R]: ...
@overload
def gather_results_sync(
    handles: Iterable[TaskHandle[R]],
    timeout: float = ...,
    *,
    return_exceptions: Literal[True],
    in_worker: bool = ...,
) -> list[R | Exception]: ...
def gather_results_sync(
    handles: Iterable[TaskHandle[R]],
    timeout: float = DEFAULT_TIMEOUT,
    *,
    return_exceptions: bool = False,
    in_worker: bool = False,
) -> Any:
    """Returns the results of the tasks, in the order of their handles. Blocks until all
    tasks have ended.

    Args:
        timeout: seconds to wait, for all tasks together. 0 looks once.
        return_exceptions: puts the errors of `TaskHandle.result` into the list. Otherwise
            the first one in the list is raised, when all tasks have ended.
        in_worker: as for `TaskHandle.result`.

    Raises:
        ResultError, BrokerError: as `TaskHandle.result`.
        TypeError: one of them is not a handle.
    """
    from .waiting import wait

    warn_of_blocked_wait("", "all tasks have ended", "gather_results(...)")
    found: list[Any] = []
    all_handles = _listed(handles)
    _check(all_handles, in_worker, timeout)
    outcomes: dict[int, bytes | Exception | None] = {}
    deadline = monotonic() + timeout
    for settings, positions in _by_settings(all_handles):
        refs = [all_handles[position]._ref() for position in positions]
        # A timeout of 0 looks once, which Redis may take a while to answer.
        left = max(0.0, deadline - monotonic()) if timeout > 0 else settings.timeout
        looks = wait(settings, refs, left, once=not timeout > 0)
        outcomes.update(zip(positions, looks, strict=True))
    for position, handle in enumerate(all_handles):
        found.append(_value(handle, outcomes[position], timeout))
    return _checked(found, return_exceptions)


@overload
async def gather_results(
    handles: Iterable[TaskHandle[R]],
    timeout: float = ...,
    *,
    return_exceptions: Literal[False] = ...,
    in_worker: bool = ...,
) -> list[R]: ...
@overload
async def gather_results(
    handles: Iterable[TaskHandle[R]],
    timeout: float = ...,
    *,
    return_exceptions: Literal[True],
    in_worker: bool = ...,
) -> list[R | Exception]: ...
@AwaitedMethod("no result was read", None, "gather_results", "gather_results_sync")
async def gather_results(
    handles: Iterable[TaskHandle[R]],
    timeout: float = DEFAULT_TIMEOUT,
    *,
    return_exceptions: bool = False,
    in_worker: bool = False,
) -> Any:
    """As `gather_results_sync`, on the running event loop."""
    import asyncio

    from .waiting_async import of_loop

    all_handles = _listed(handles)
    _check(all_handles, in_worker, timeout)
    outcomes: dict[int, bytes | Exception | None] = {}
    groups, longest = [], 0.0
    try:
        for settings, positions in _by_settings(all_handles):
            waits = of_loop(settings)
            refs = [all_handles[position]._ref() for position in positions]
            until, left = ("outcome", timeout) if timeout > 0 else ("look", settings.timeout)
            longest = max(longest, left)
            groups.append((positions, waits, waits.begin_group(refs, until)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest):
                for _, _, group in groups:
                    await group.future
    finally:
        for positions, waits, group in groups:
            waits.end_group(group)
            outcomes.update(zip(positions, group.found, strict=True))
    found = [
        _value(handle, outcomes[position], timeout) for position, handle in enumerate(all_handles)
    ]
    return _checked(found, return_exceptions)


def _listed(handles: Iterable[TaskHandle[R]]) -> list[TaskHandle[R]]:
    if not isinstance(handles, Iterable):
        raise TypeError(f"pass an iterable of handles, not a {type(handles).__name__}")
    return list(handles)


def _check(handles: list[TaskHandle[Any]], in_worker: bool, timeout: float) -> None:
    for position, handle in enumerate(handles):
        if not isinstance(handle, TaskHandle):
            raise TypeError(
                f"handle {position} is a {type(handle).__name__}; pass the handles that enqueue "
                f"returns, or those of fluxqueue.handle(task_id)"
            )
        # Most handles need no more than this look.
        if not position or handle._keeps is False or handle._is_served:
            handle._check(in_worker, timeout)


def _by_settings(handles: list[TaskHandle[Any]]) -> Iterable[tuple[Settings, list[int]]]:
    grouped: dict[tuple[str, str], tuple[Settings, list[int]]] = {}
    for position, handle in enumerate(handles):
        settings = handle._broker.settings
        _, positions = grouped.setdefault((settings.url, settings.namespace), (settings, []))
        positions.append(position)
    return grouped.values()


def _value(handle: TaskHandle[Any], outcome: bytes | Exception | None, timeout: float) -> Any:
    """The result, or the exception to raise, marked by `_Raised`."""
    if not outcome or is_report(outcome):
        from .waiting import timed_out

        return _Raised(timed_out(handle._broker.settings, handle._ref(), timeout))
    try:
        return handle._value(outcome)
    except Exception as error:  # noqa: BLE001 - raised or returned below
        return _Raised(error)


class _Raised:
    """An exception among results, which may be exceptions too."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def _checked(found: list[Any], return_exceptions: bool) -> list[Any]:
    if not return_exceptions:
        for each in found:
            if isinstance(each, _Raised):
                raise each.error
    return [each.error if isinstance(each, _Raised) else each for each in found]
