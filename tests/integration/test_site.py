"""The documentation site: Chromium reads it from the file system, and two versions of it stand
side by side on a server."""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.dashboard_browser import PATIENCE, chromium, launched

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build/docs/site"
# One process builds it, and all tests look at it.
pytestmark = pytest.mark.xdist_group("site")
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def site() -> Path:
    """The site; `.ci/run` has built it with `scripts/docs`."""
    if os.environ.get("CI") != "true":
        if importlib.util.find_spec("mkdocs") is None:
            pytest.skip("needs what docs/requirements.txt lists: run scripts/docs")
        subprocess.run(["scripts/docs"], cwd=ROOT, check=True, timeout=300)
    assert (SITE / "index.html").is_file(), "scripts/docs has built no site"
    return SITE


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if chromium() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium")
        pytest.skip("needs Chromium")
    with launched() as browser:
        yield browser


@contextlib.contextmanager
def page_of(browser: Browser, width: int = 1280, scheme: str = "light") -> Iterator[Page]:
    """A page that may load files and pages of this machine, and fails the test otherwise."""
    others: list[str] = []
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("request", lambda request: others.append(request.url))
    page.on("pageerror", lambda error: others.append(f"error: {error}"))
    yield page
    context.close()
    allowed = ("file:", "data:", "blob:", "http://127.0.0.1:")
    assert [url for url in others if not url.startswith(allowed)] == []


def test_no_page_loads_anything_of_another_host(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(https?:)?//[^>]*>"
        r"|<link\b[^>]*rel=\"?(?:stylesheet|preconnect|preload|icon)[^>]*href=\"?(https?:)?//[^>]*>"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 200
    found = {str(page): match[0] for page in pages if (match := loads.search(page.read_text()))}
    assert found == {}


def test_the_site_names_no_folder_of_the_machine_that_built_it(site: Path) -> None:
    folders = {str(ROOT), str(Path(sys.prefix)), str(Path.home()) + "/"}
    texts = [*site.rglob("*.html"), *site.rglob("*.txt"), site / "search/search_index.js"]
    found = {
        (str(file), folder) for file in texts for folder in folders if folder in file.read_text()
    }
    assert found == set()


def test_search_finds_a_page_without_a_server(site: Path, browser: Browser) -> None:
    with page_of(browser) as page:
        page.goto((site / "tutorial/01-first-task.html").as_uri())
        # Typed: the theme listens to keys, and not to a value that is set.
        page.get_by_placeholder("Search").press_sequentially("PeriodicOptions")
        found = page.locator("a.md-search-result__link").first
        expect(found).to_have_attribute("href", re.compile("reference/options.html"))


def test_the_diagram_of_the_states_is_drawn(site: Path, browser: Browser) -> None:
    with page_of(browser) as page:
        page.goto((site / "states.html").as_uri())
        # The theme puts each diagram into a closed shadow root, and the block goes.
        expect(page.locator("pre.mermaid")).to_have_count(0)
        expect(page.locator("div.mermaid")).to_have_count(2)
        for diagram in page.locator("div.mermaid").all():
            box = diagram.bounding_box()
            assert box and box["height"] > 150 and box["width"] > 300


def test_no_page_is_wider_than_a_phone(site: Path, browser: Browser) -> None:
    with page_of(browser, 390) as page:
        for name in ("index", "tutorial/04-failures", "reference/options", "states", "protocol"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


@pytest.mark.parametrize("scheme", ["default", "slate"])
def test_the_site_is_light_or_dark_as_the_system(site: Path, browser: Browser, scheme: str) -> None:
    with page_of(browser, scheme="dark" if scheme == "slate" else "light") as page:
        page.goto((site / "index.html").as_uri())
        expect(page.locator("body")).to_have_attribute("data-md-color-scheme", scheme)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serves a folder; yields its URL."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Silent, directory=str(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class SmallSite:
    """A site of one page; all else is as that of `scripts/docs`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.page = folder / "pages/README.md"
        self.page.parent.mkdir()
        (folder / "mkdocs.yml").write_text(
            f"INHERIT: {ROOT}/mkdocs.yml\ndocs_dir: {folder}/pages\nsite_dir: {folder}/site\n"
            f"nav: [README.md]\ntheme: {{custom_dir: {ROOT}/docs/site/theme}}\n"
        )

    def run(self, *command: str) -> tuple[int, str]:
        """Runs a command in the folder of mkdocs.yml; returns its exit code and its output."""
        environment = os.environ | {
            "DOCS_VERSIONS": "mike",
            "NO_MKDOCS_2_WARNING": "1",
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        }
        ran = subprocess.run(
            command,
            cwd=self._folder, env=environment, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return ran.returncode, ran.stdout


def test_a_warning_is_an_error(site: Path, tmp_path: Path) -> None:
    small = SmallSite(tmp_path)
    (tmp_path / "pages/omitted.md").write_text("# Omitted\n")
    small.page.write_text("# A\n\n[a](no.md) [b](omitted.md#no)\n\n::: fluxqueue.FluxQueue.task\n")
    code, output = small.run("mkdocs", "build")
    assert code == 1
    for warning in ("- omitted.md", "'no.md', but the target", "anchor '#no'", "with 3 warnings"):
        assert warning in output, output


def test_two_versions_stand_side_by_side(site: Path, browser: Browser, tmp_path: Path) -> None:
    small, published = SmallSite(tmp_path), tmp_path / "published"

    def run(*command: str) -> None:
        code, output = small.run(*command)
        assert code == 0, output

    for setting in ("init -q", "config user.name tests", "config user.email tests@localhost"):
        run("git", *setting.split())
    run("git", "commit", "-q", "--allow-empty", "-m", "The first commit")
    for version in ("0.1", "0.2"):
        small.page.write_text(f"# Home\n\nThis is {version}.\n")
        run("mike", "deploy", "-u", version, "latest")
    run("git", "worktree", "add", "-q", str(published), "gh-pages")
    with serving(published) as url, page_of(browser) as page:
        for name, text in {"0.1": "0.1", "0.2": "0.2", "latest": "0.2"}.items():
            page.goto(f"{url}/{name}/index.html")
            expect(page.locator("article")).to_contain_text(f"This is {text}.")
        menu = page.locator(".md-version__link")
        expect(menu).to_have_count(2)
        page.locator(".md-version").hover()
        menu.nth(1).click()
        expect(page.locator("article")).to_contain_text("This is 0.1.")
