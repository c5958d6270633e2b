"""Conditions on the id, the name and the headers of a task, for lists, searches and jobs.

Why: docs/decisions/0167-a-star-ends-the-beginning-of-an-id.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fluxqueue_core.errors import ConfigurationError
from fluxqueue_core.task_ids import read_task_id

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
# The beginning of an id, with the rest of this one, is an id.
_EXAMPLE = "00000000-0000-0000-0000-000000000000"


def read_id(text: str) -> str:
    """Returns the condition that a text means: an id, or the beginning of ids and a `*`. Text that
    is neither is the `task_id` of a call.

    Raises:
        ConfigurationError: no id begins so, or no call can have such a `task_id`.
    """
    if not text.endswith("*"):
        return read_task_id(text)
    stem = text[:-1].lower()
    if not stem or _UUID.fullmatch(stem + _EXAMPLE[len(stem) :]) is None:
        raise ConfigurationError(
            f"no id begins with {text[:-1][:50]!r}; give the first characters of a UUID, such as "
            f"019aa0c2*"
        )
    return f"{stem}*"


def read_header(text: str) -> tuple[str, str]:
    """Returns the name and the value of a condition such as `tenant=acme`.

    Raises:
        ConfigurationError: it has no name, or no `=`.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigurationError(f"{text[:50]!r} is not NAME=VALUE, such as tenant=acme")
    return name, value


def has_name(name: str, wanted: str | None) -> bool:
    """Whether a name is the wanted one, in which a `*` at the end stands for any text. None fits
    all."""
    if wanted is None or name == wanted:
        return True
    return wanted.endswith("*") and name.startswith(wanted[:-1])


def has_id(task_id: str, wanted: str | None) -> bool:
    """Whether an id is as `read_id` returned it. None fits all."""
    if wanted is None:
        return True
    return task_id.startswith(wanted[:-1]) if wanted.endswith("*") else task_id == wanted


def has_headers(parts: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Whether a message has these headers.

    Args:
        parts: as `fluxqueue_core.parse_message` returned them.
    """
    headers = parts["headers"] or {}
    return all(headers.get(name) == value for name, value in wanted.items())
