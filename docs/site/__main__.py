"""Writes the pages of the site, those of the repository and generated ones, into a folder.

    python -m docs.site FOLDER

`scripts/docs` calls it, and then lets mkdocs make the site of this folder.
Why: docs/decisions/0270-mkdocs-material-on-staged-pages.md
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from . import commands, configuration, links, llms, python_markdown, reference

ROOT = Path(__file__).parents[2]
# Notes for those who write tests, of no use elsewhere.
LEFT_OUT = ("packages/fluxqueue-core-rs/tests/",)


def stage(folder: Path) -> None:
    """Writes all pages; the folder must not exist.

    Raises:
        ValueError: a page has a link to a file that does not exist.
    """

    def write(name: str, text: str) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def copy(name: str) -> None:
        target = folder / links.on_site(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)

    for name in tracked("*.md"):
        if not name.startswith(LEFT_OUT):
            text = links.with_links_of_site((ROOT / name).read_text(), name, ROOT, copy)
            text = text.replace(configuration.MARKER, configuration.table())
            write(links.on_site(name), python_markdown.adapted(text))
    write("reference/commands.md", python_markdown.adapted(commands.page()))
    for stem, page in reference.PAGES.items():
        write(f"reference/{stem}.md", reference.text(page))
    pages = llms.navigation(ROOT / "mkdocs.yml")
    for name, text in llms.texts(pages, folder).items():
        write(name, text)
    if found := importlib.util.find_spec("mermaidx"):
        (folder / "assets").mkdir()
        [package] = found.submodule_search_locations or []
        script = Path(package) / "assets/mermaid.js"
        shutil.copyfile(script, folder / "assets/mermaid.min.js")


def tracked(pattern: str) -> list[str]:
    """Returns the files of the repository, and those that are about to be, from its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    listed = subprocess.run(
        [*command, pattern], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


if __name__ == "__main__":
    stage(Path(sys.argv[1]))
