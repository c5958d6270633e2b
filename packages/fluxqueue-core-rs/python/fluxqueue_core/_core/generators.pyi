"""Generators that run to a `yield` before something, and to their end after it."""

from collections.abc import Callable, Generator
from typing import Any

def begin_generators(
    functions: tuple[Callable[[Any], Generator[Any, Any, Any]], ...],
    argument: object,
    begun: list[Any],
) -> bool:
    """Runs the generator of each function up to its `yield`. Returns False at the first one that
    has none.

    Args:
        argument: that of each function.
        begun: gets each generator at its `yield`.

    Raises:
        BaseException: what a generator raised; `begun` has those before it.
    """

def end_generators(begun: list[Any], value: object) -> Generator[Any, Any, Any] | None:
    """Takes the generators from the list, the last one first, and runs each to its end. Returns
    the first one that yields again, and stops there.

    Args:
        value: what each `yield` returns.

    Raises:
        BaseException: what a generator raised; `begun` has those that are left.
    """
