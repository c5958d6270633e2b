"""The conditions on the id and the headers of tasks, as the fields of a page and of a form have
them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxqueue_control.identifying import read_header


def identity(id_text: str, header: str) -> dict[str, Any]:
    """Returns the parts of a query or of a selection for two fields; '' stands for any task.

    Raises:
        ConfigurationError: the header is not NAME=VALUE.
    """
    headers: Mapping[str, str] = dict([read_header(header)]) if header else {}
    return {"id": id_text or None, "headers": headers}
