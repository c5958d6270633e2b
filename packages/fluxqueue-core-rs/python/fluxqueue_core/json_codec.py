"""JSON for all packages: by orjson, or by msgspec if there is no orjson.

orjson has no wheels for free-threaded builds of Python, and may bring the GIL back there.

Why: docs/decisions/0275-free-threaded-builds-use-msgspec.md
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

__all__ = [
    "OPT_APPEND_NEWLINE",
    "OPT_PASSTHROUGH_DATACLASS",
    "OPT_SORT_KEYS",
    "OPT_UTC_Z",
    "JSONDecodeError",
    "JSONEncodeError",
    "dumps",
    "loads",
]

try:
    if not TYPE_CHECKING and not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise ImportError("this interpreter runs without the GIL")
    from orjson import (
        OPT_APPEND_NEWLINE,
        OPT_PASSTHROUGH_DATACLASS,
        OPT_SORT_KEYS,
        OPT_UTC_Z,
        JSONDecodeError,
        JSONEncodeError,
        dumps,
        loads,
    )
except ImportError:
    from .msgspec_json import (  # type: ignore[assignment]
        OPT_APPEND_NEWLINE,
        OPT_PASSTHROUGH_DATACLASS,
        OPT_SORT_KEYS,
        OPT_UTC_Z,
        JSONDecodeError,
        JSONEncodeError,
        dumps,
        loads,
    )
