"""The pages of the documentation site, as docs/site stages them for mkdocs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from fluxqueue.cli import OWN

from docs.site import commands, configuration, links, llms, python_markdown, reference
from docs.site.__main__ import LEFT_OUT, tracked

ROOT = Path(__file__).parents[3]
# Variables between processes of ours and of tests, which no user sets.
INTERNAL = {"FLUXQUEUE_FUZZ_CASES"}


def test_a_link_leads_to_the_same_page_on_the_site(tmp_path: Path) -> None:
    for name in ("docs/a.md", "docs/sub/b.md", "docs/i.png", "README.md", "e/README.md", "f/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    copied: list[str] = []
    page = (
        "[b](sub/b.md#c) ![i](i.png) [r](../README.md) [e](../e) [`f`](../f/x.txt)\n"
        "[n](../empty) [u](https://u.example/) [h](#here) `[code](no.md)`\n"
        "```\n[code](no.md)\n```\n"
    )
    assert links.with_links_of_site(page, "docs/a.md", tmp_path, copied.append) == (
        "[b](sub/b.md#c) ![i](i.png) [r](repository/README.md) [e](repository/e/README.md)"
        " [`f`](repository/f/x.txt)\n"
        "n [u](https://u.example/) [h](#here) `[code](no.md)`\n"
        "```\n[code](no.md)\n```\n"
    )
    assert copied == ["docs/i.png", "f/x.txt"]
    for bad in ("no.md", "../../outside.md"):
        with pytest.raises(ValueError, match=f"docs/a.md has a link to {bad}"):
            links.with_links_of_site(f"[x]({bad})", "docs/a.md", tmp_path, copied.append)


@pytest.mark.parametrize(
    ("forge", "site"),
    [
        ("text:\n- a\n- b\n", "text:\n\n- a\n- b\n"),
        ("- a\n  more\n\n  more\n", "- a\n    more\n\n    more\n"),
        ("1. a\n\n   ```\n   - b\n   ```\n", "1. a\n\n    ```\n    - b\n    ```\n"),
        ("- a\n  - b\n\nend\n  x\n", "- a\n    - b\n\nend\n  x\n"),
        ("```\ntext\n- a\n  b\n```\n", "```\ntext\n- a\n  b\n```\n"),
        ("| `a \\| b` | c \\| d |\n", "| `a | b` | c \\| d |\n"),
        ("a - b\n2026-12-01\n*bold*\n", "a - b\n2026-12-01\n*bold*\n"),
    ],
)
def test_lists_are_those_of_the_forge(forge: str, site: str) -> None:
    assert python_markdown.adapted(forge) == site


@pytest.fixture(scope="module")
def command_page() -> str:
    return commands.page()


@pytest.mark.parametrize("name", OWN)
def test_each_command_has_its_section(command_page: str, name: str) -> None:
    section = command_page.split(f"\n## `fluxqueue {name}`\n")
    assert len(section) == 2
    assert "| `-h" not in section[1].split("\n## ")[0]
    assert f"\nfluxqueue {name} [-h]" in section[1].split("\n## ")[0]


def test_an_option_of_a_command_has_its_text(command_page: str) -> None:
    assert "| `--lease SECONDS` | how long after this worker's death" in command_page
    assert "\n### `fluxqueue dead replay`\n" in command_page
    assert "auto\\|console\\|json" in command_page
    assert commands.escaped("a_b: `shop.<*>` <c>") == "a\\_b: `shop.<*>` &lt;c>"


def test_the_page_on_configuration_has_every_variable_of_the_sources() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    assert configuration.MARKER in page
    page += configuration.table()
    files = ["git", "grep", "-hoE", r"\bFLUXQUEUE_[A-Z_]*[A-Z]\b", "--", "packages", "services"]
    found = subprocess.run(files, cwd=ROOT, capture_output=True, text=True, check=True)
    variables = set(found.stdout.split()) - INTERNAL
    assert len(variables) >= 50
    assert {name for name in variables if f"| `{name}` |" not in page} == set()
    assert set(re.findall(r"^\| `(FLUXQUEUE_\w+)`", page, re.MULTILINE)) == variables


def test_the_defaults_of_the_page_on_configuration_are_those_of_the_settings() -> None:
    from fluxqueue import FluxQueue

    page = (ROOT / "docs/configuration.md").read_text()
    rows = re.findall(r"^\| `FLUXQUEUE_\w+` \| `(\w+)` \| (\S+) \|", page, re.MULTILINE)
    settings = FluxQueue("redis://127.0.0.1:6379").settings
    assert len(rows) == 8
    for argument, default in rows[2:]:
        assert float({"no": "0"}.get(default, default)) == getattr(settings, argument), argument


def test_the_reference_has_each_public_name() -> None:
    import fluxqueue
    import fluxqueue.testing

    for page, module in (("fluxqueue", fluxqueue), ("testing", fluxqueue.testing)):
        text = reference.text(reference.PAGES[page])
        for name in module.__all__:
            shown = f"\n::: {module.__name__}.{name}\n" in text
            assert shown is not name.startswith("__"), name


def test_each_page_is_in_the_navigation() -> None:
    """mkdocs says so too, but only where it is installed."""
    shown = {name for _, name in llms.navigation(ROOT / "mkdocs.yml")}
    pages = [name for name in tracked("*.md") if not name.startswith(LEFT_OUT)]
    assert len(pages) > 150
    without = {links.on_site(name) for name in pages} - shown
    assert {name for name in without if not re.match(r"decisions/0\d+-", name)} == set()


def test_the_summary_of_a_page_is_its_first_sentence() -> None:
    text = "# A `title`\n\n| table |\n|---|\n\nThe [first](b.md) one\ngoes on. The second.\n"
    assert llms.head(text) == ("A title", "The first one goes on.")
    pages = llms.navigation(ROOT / "mkdocs.yml")
    assert ("Tutorial", "tutorial/01-first-task.md") in pages
    assert ("Home" not in dict(pages)) and len(pages) > 60


def test_each_page_says_something_for_llms_txt(tmp_path: Path) -> None:
    pages = {"reference/" + stem + ".md" for stem in reference.PAGES} | {"reference/commands.md"}
    of_repository = [
        (section, name)
        for section, name in llms.navigation(ROOT / "mkdocs.yml")
        if name not in pages
    ]
    for _, name in of_repository:
        path = name.removeprefix("repository/") if name.startswith("repository") else f"docs/{name}"
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / path).read_text())
    written = llms.texts(of_repository, tmp_path)
    entries = re.findall(r"^- \[(.+)\]\((.+)\): (.*)$", written["llms.txt"], re.MULTILINE)
    assert len(entries) == len(of_repository)
    assert [entry for entry in entries if len(entry[2]) < 10] == []
    assert ("1. A first task", "tutorial/01-first-task.html") in [entry[:2] for entry in entries]
    assert "to ada@example.com: Welcome" in written["llms-full.txt"]
