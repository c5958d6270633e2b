"""`scripts/map` has a sentence for each source file; CONTRIBUTING.md has the folders."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
SUFFIXES = (".py", ".pyi", ".rs", ".lua")


def printed(*folders: str) -> dict[str, str]:
    """Returns the files that the script prints, with their sentences."""
    command = [str(ROOT / "scripts/map"), *folders]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    names = lines.stdout.splitlines()
    return dict(zip(names[::2], (words.strip() for words in names[1::2]), strict=True))


def there() -> set[str]:
    """The source files of the packages."""
    return {
        str(file.relative_to(ROOT))
        for root in [*ROOT.glob("packages/*"), *ROOT.glob("services/*")]
        for folder in (root / "src", root / "python")
        for file in folder.rglob("*")
        if file.suffix in SUFFIXES
    }


def test_each_source_file_begins_with_a_sentence_about_it() -> None:
    files = printed()
    assert len(files) > 150
    assert set(files) == there()
    dumb = {name: words for name, words in files.items() if not re.match(r"\S.{8,250}[.:]$", words)}
    assert dumb == {}, "the first line of a file says what it has"


def test_a_folder_is_printed_alone() -> None:
    folder = "services/scheduler"
    assert printed(folder) == {n: w for n, w in printed().items() if n.startswith(folder + "/")}


@pytest.mark.parametrize("folder", ["benchmarks", "nonsense"])
def test_a_folder_without_source_files_is_an_error(folder: str) -> None:
    command = [str(ROOT / "scripts/map"), folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"scripts/map: no source file of packages and services in {folder}\n")


def test_every_folder_of_the_page_exists() -> None:
    named = re.findall(r"^\| `([^`]+)` \| [^|]+ \|$", PAGE, re.MULTILINE)
    folders = [
        folder.replace("...", "packages/fluxqueue-core-rs").replace("{" + some + "}", one)
        for folder in named
        for some in re.findall(r"\{(.*)\}", folder) or [""]
        for one in some.split(",")
    ]
    assert len(folders) > 18
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []


def test_the_page_has_every_folder() -> None:
    """Each package, and each folder of the core and of the tests."""
    roots = [*ROOT.glob("packages/*"), *ROOT.glob("services/*")]
    rust = (ROOT / "packages/fluxqueue-core-rs/src").glob("*/")
    tests = [file.parent for file in ROOT.glob("tests/*/*.py") if file.parent.name != "__pycache__"]
    missing = [root.name for root in roots if f"/{root.name}" not in PAGE]
    missing += [folder.name for folder in rust if f"`.../src/{folder.name}`" not in PAGE]
    missing += [
        folder.name for folder in tests if not re.search(rf"`tests/.*\b{folder.name}\b", PAGE)
    ]
    assert missing == []


def test_the_page_is_short() -> None:
    assert len(PAGE.splitlines()) <= 120
