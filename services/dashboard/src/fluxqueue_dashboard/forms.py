"""Reads the body of a form."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

# Bytes and fields of a form, at most: a page has up to 100 tasks to choose from.
_MOST_BYTES = 262_144
_MOST_FIELDS = 1_000


class Form:
    """The fields of a form."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self._fields = fields

    def one(self, name: str) -> str:
        """Returns a field that the form must have once.

        Raises:
            HTTPException: it has another number of them.
        """
        found = self._fields.get(name, [])
        if len(found) != 1:
            raise HTTPException(400, f"the form needs the field {name!r} once")
        return found[0]

    def text(self, name: str) -> str:
        """Returns a field, or '' without it."""
        return self._fields.get(name, [""])[0].strip()

    def all(self, name: str) -> list[str]:
        """Returns the values of a field, each once; none without it."""
        return list(dict.fromkeys(self._fields.get(name, [])))


async def read_form(request: Request) -> Form:
    """Reads the body of a request.

    Raises:
        HTTPException: it is too large, or not a form.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, "the form is too large")
    try:
        # By default another character would take the place of a byte that is not text.
        fields = parse_qs(body.decode(), True, True, errors="strict", max_num_fields=_MOST_FIELDS)
        return Form(fields)
    except (UnicodeDecodeError, ValueError):
        raise HTTPException(400, "this is not a form") from None
