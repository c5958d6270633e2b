"""Runs the generators of middleware of which some are async."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, TypeAlias

from fluxqueue.middleware_checks import MiddlewareMethod
from fluxqueue_core import begin_generators, end_generators

from .error_text import own_frame

AnyGenerator: TypeAlias = Generator[Any, Any, Any] | AsyncGenerator[Any, Any]


@own_frame
async def begin_async(
    methods: Sequence[MiddlewareMethod], argument: object, begun: list[AnyGenerator]
) -> bool:
    """As `begin_generators`."""
    for _, begin, is_async in methods:
        if not is_async:
            if not begin_generators((begin,), argument, begun):
                return False
            continue
        generator = begin(argument)
        try:
            await anext(generator)
        except StopAsyncIteration:
            return False
        begun.append(generator)
    return True


@own_frame
async def end_async(begun: list[AnyGenerator], value: object) -> AnyGenerator | None:
    """As `end_generators`."""
    while begun:
        generator = begun.pop()
        if isinstance(generator, AsyncGenerator):
            try:
                await generator.asend(value)
            except StopAsyncIteration:
                continue
            return generator
        if end_generators([generator], value) is not None:
            return generator
    return None
