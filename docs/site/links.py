"""Where each page of the repository is on the site, and links that lead there.

Pages link to files of the repository by relative paths, as a forge shows them. On the site,
`docs/` is the root, and pages of other folders are below `repository/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

_LINK = re.compile(
    r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)"
)
_CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def on_site(name: str) -> str:
    """Returns the path on the site of a file of the repository."""
    path = PurePosixPath(name)
    if path.parts[0] == "docs":
        return str(PurePosixPath(*path.parts[1:]))
    return f"repository/{name}"


def with_links_of_site(text: str, name: str, root: Path, copy: Callable[[str], object]) -> str:
    """Returns a page's text with links to the places on the site.

    A link to a folder leads to its README.md. If it has none, the text of the link remains.

    Args:
        name: the page, as a path from the root of the repository.
        copy: is called with each linked file that is not a page.

    Raises:
        ValueError: a link leads to no file of the repository.
    """

    def replace(found: re.Match[str]) -> str:
        image, label, target, anchor = found.groups()
        path = os.path.normpath(PurePosixPath(name).parent / target)
        if (root / path / "README.md").is_file():
            path += "/README.md"
        elif (root / path).is_dir():
            return label
        if path.startswith("..") or not (root / path).is_file():
            raise ValueError(f"{name} has a link to {target}, which does not exist")
        if not path.endswith(".md"):
            copy(path)
        there = os.path.relpath(on_site(path), PurePosixPath(on_site(name)).parent)
        return f"{image}[{label}]({there}{anchor or ''})"

    return outside_code(text, lambda prose: _LINK.sub(replace, prose))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Returns the text with all but its code blocks and code spans changed."""
    # A code span may be the label of a link, so each is hidden, not cut out.
    hidden: list[str] = []

    def hide(found: re.Match[str]) -> str:
        hidden.append(found[0])
        return f"\0{len(hidden) - 1}\0"

    changed = change(_CODE.sub(hide, text))
    return re.sub(r"\0(\d+)\0", lambda found: hidden[int(found[1])], changed)
