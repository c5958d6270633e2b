"""llms.txt and llms-full.txt: the site for language models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_HEAD = """# FluxQueue

> A task queue for Python on Redis, with a Rust core. Decorate a function and call it: the call puts
> a task into Redis, and a worker process runs it, at least once.

[llms-full.txt](llms-full.txt) has the text of all pages below.
"""


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml; a value with a tag is None."""


for _prefix in ("!", "tag:yaml.org,2002:python/"):
    _Loader.add_multi_constructor(_prefix, lambda loader, suffix, node: None)


def navigation(config: Path) -> list[tuple[str, str]]:
    """Returns the pages of the site in the order of its navigation, each with its section."""
    loaded = yaml.load(config.read_text(), Loader=_Loader)
    return list(_pages(loaded["nav"], "FluxQueue"))


def _pages(entry: Any, section: str) -> Iterator[tuple[str, str]]:
    if isinstance(entry, str):
        yield section, entry
    elif isinstance(entry, list):
        for each in entry:
            yield from _pages(each, section)
    else:
        for title, value in entry.items():
            yield from _pages(value, title if isinstance(value, list) else section)


def texts(pages: list[tuple[str, str]], staged: Path) -> dict[str, str]:
    """Returns both files by name."""
    short, full, last = [_HEAD], [_HEAD], None
    for section, name in pages:
        text = (staged / name).read_text()
        title, summary = head(text)
        if section != last:
            short.append(f"\n## {section}\n\n")
            last = section
        address = re.sub(r"(^|/)README\.md$", r"\1index.md", name).removesuffix(".md") + ".html"
        short.append(f"- [{title}]({address}): {summary}\n")
        full.append(f"\n{text.rstrip()}\n")
    return {"llms.txt": "".join(short), "llms-full.txt": "".join(full)}


def head(text: str) -> tuple[str, str]:
    """Returns the title of a page and the first sentence below it, without links."""
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    assert title, text[:80]
    paragraph = re.search(r"^(?=[\w`*\[])(?:.+\n)+", text[title.end() :], re.MULTILINE)
    sentence = " ".join(paragraph[0].split()) if paragraph else ""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", sentence)
    return title[1].replace("`", ""), re.split(r"(?<=[.:]) (?=[A-Z`])", plain)[0]
