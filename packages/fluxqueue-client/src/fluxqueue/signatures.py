"""Signatures of functions whose annotations may have names that are not defined."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any


def signature_of(func: Callable[..., Any], *, follow_wrapped: bool = True) -> inspect.Signature:
    """Returns the signature of a function.

    Python 3.14 evaluates annotations when they are read. If a name in them is not defined, such
    as one that is imported for type checkers only, all of them are texts, as in a module with
    `from __future__ import annotations`.

    Raises:
        TypeError, ValueError: the function has no signature.
    """
    try:
        return inspect.signature(func, follow_wrapped=follow_wrapped)
    except (AttributeError, NameError):
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            text = Format.STRING
            return inspect.signature(func, follow_wrapped=follow_wrapped, annotation_format=text)
        raise
