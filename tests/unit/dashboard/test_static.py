"""The files that a browser gets: htmx as its authors have released it, and nothing inline."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import fluxqueue_dashboard
import pytest

PACKAGE = Path(fluxqueue_dashboard.__file__).parent
TEMPLATES = sorted((PACKAGE / "templates").glob("*.html"))
# Of dist/htmx.min.js in the release 2.0.11 of htmx.org on npm.
HTMX = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"


def test_htmx_is_the_release_with_its_licence() -> None:
    [file] = (PACKAGE / "static").glob("htmx-*.min.js")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == HTMX
    licence = file.with_name(file.name.replace("min.js", "LICENSE.txt"))
    assert licence.read_text().startswith("Zero-Clause BSD")
    assert file.name in (PACKAGE / "templates/base.html").read_text()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_a_template_has_nothing_inline_and_nothing_from_elsewhere(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:|hx-on|\| *safe", text)
    assert not re.search(r"<script(?! src=)", text)
    assert not re.search(r"(?:src|href|action)=\"https?:", text)


@pytest.mark.parametrize("name", ["dashboard.css", "dashboard.js", "theme.js", "icon.svg"])
def test_a_static_file_asks_no_other_server(name: str) -> None:
    text = (PACKAGE / "static" / name).read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|@import|url\(", text)
