"""The code blocks of the pages, and the names that their text takes for granted."""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^( *)```([\w-]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w/.]+)\.py\b")


class Block(NamedTuple):
    """A block: its page from the root of the repository, its line there, its language."""

    page: str
    line: int
    language: str
    code: str


def blocks(language: str) -> Iterator[Block]:
    """Yields the blocks of this language of all pages."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in sorted(set(listed.stdout.splitlines())):
        if (ROOT / name).is_file():
            yield from (b for b in of_page(name, (ROOT / name).read_text()) if b[2] == language)


def of_page(name: str, text: str) -> Iterator[Block]:
    """Yields the blocks of one page."""
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        yield Block(name, line, found[2], textwrap.dedent(found[3]))


def modules(found: list[Block], preludes: dict[str, str]) -> dict[str, str]:
    """Returns modules for a type checker by name.

    Each file of a page is one. Of the other blocks, one that begins with an import begins a
    module, with the page's prelude, and those after it go on. Pages have files of the same names,
    so the name of the page is part of the module's.
    """
    made: dict[str, str] = {}
    for page in dict.fromkeys(block.page for block in found):
        prefix = re.sub(r"\W", "_", page.removesuffix(".md")) + "__"
        files: dict[str, str] = {}
        parts: list[str] = []
        for block in found:
            if block.page != page:
                continue
            if file := _FILE.match(block.code):
                name = re.sub(r"\W", "_", file[1])
                files[name] = files.get(name, "") + block.code
            elif not parts or block.code.startswith(("from ", "import ")):
                parts.append(preludes.get(page, "") + block.code)
            else:
                parts[-1] += block.code
        imported = re.compile(rf"^( *(?:from|import) )({'|'.join(files) or '-'})\b", re.MULTILINE)
        files |= {str(number): part for number, part in enumerate(parts)}
        for name, code in files.items():
            made[prefix + name] = imported.sub(rf"\1{prefix}\2", code)
    return made
