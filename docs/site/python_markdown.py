"""The differences between the Markdown of forges (CommonMark) and Python-Markdown."""

from __future__ import annotations

import re

_FENCE = re.compile(r" *(```|~~~)")
_CODE = re.compile(r"`[^`]+`")
_ITEM = re.compile(r"(?:[-*]|\d+\.) +(?=\S)")


def adapted(text: str) -> str:
    """Returns a page that Python-Markdown reads as a forge reads the given one.

    Python-Markdown wants four spaces before what belongs to an item of a list, and an empty
    line before a list. CommonMark wants as many spaces as the item's marker takes. In a code span
    of a table, Python-Markdown takes `|` as it is, and forges need a backslash before it.
    """
    lines: list[str] = []
    fenced = False
    width = 0  # of the marker of the current item; 0: no item
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip(" "))
        if not fenced and line.strip() and indent < 2:
            item = _ITEM.match(line)
            if item and width == 0 and lines and lines[-1].strip():
                lines.append("")
            width = len(item[0]) if item else 0
        if _FENCE.match(line):
            fenced = not fenced
        if width and indent >= width:
            line = "    " + line[width:]
        if line.startswith("|"):
            line = _CODE.sub(lambda span: span[0].replace("\\|", "|"), line)
        lines.append(line)
    return "\n".join(lines) + "\n"
