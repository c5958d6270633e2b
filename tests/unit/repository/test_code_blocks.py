"""Every code block of the pages is right as far as can be told without running it: mypy checks
those of Python, parsers of the commands read those of shells. Other tests run many of them:
`tests/integration/test_tutorial.py`, `test_page_examples.py`, `test_readme.py`."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from fluxqueue.cli import OWN, load
from fluxqueue_core.service.command_line import Parser, parser_of
from support.code_blocks import ROOT, Block, blocks, modules, of_page

# These blocks are only compiled, for the reason.
COMPILED = {
    "docs/migrate/": "each is in examples/migrate, where test_migrate_peers.py runs it",
}
# A part of a mapping; mypy checks the mapping.
PART = re.compile(r'^"\w+": \{')

FLUXQUEUE = "from fluxqueue import FluxQueue\n\nfluxqueue = FluxQueue()\n"
# Names that the text before a block explains, or that any reader knows.
PRELUDES = {
    "docs/call-options.md": FLUXQUEUE
    + """
from dataclasses import dataclass
from datetime import datetime, timezone

tomorrow_at_nine = datetime(2026, 12, 2, 9, tzinfo=timezone.utc)

@dataclass
class Invoice:
    id: int
    email: str

invoices = [Invoice(1, "ada@example.com")]

@fluxqueue.task()
def send_email(to: str, subject: str) -> None: ...
@fluxqueue.task()
def charge(order: int, cents: int) -> None: ...
@fluxqueue.task()
async def notify(customer: int) -> None: ...
""",
    "docs/calling.md": FLUXQUEUE
    + """
import functools

class Session:
    def __enter__(self): return self
    def __exit__(self, *exception): ...

@fluxqueue.task()
async def send_welcome(email: str) -> None: ...
@fluxqueue.task()
def pack_parcel(order: int) -> None: ...
@fluxqueue.task()
def send_email(to: str, subject: str) -> None: ...
""",
    "docs/dashboard.md": """
from django.core.asgi import get_asgi_application
from fastapi import FastAPI
from fluxqueue_dashboard.access import Access, Visitor
from fluxqueue_dashboard.app import dashboard

app = FastAPI()

def visitor(scope) -> Visitor | None: ...
""",
    "docs/django.md": """
from datetime import datetime, timezone
from django.tasks import default_task_backend, task
from django.test import TestCase, override_settings

tomorrow = datetime(2026, 12, 2, tzinfo=timezone.utc)
""",
    "docs/fastapi.md": """
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fastapi import FastAPI
from fastapi.testclient import TestClient
from fluxqueue import FluxQueue
from fluxqueue.fastapi import lifespan

queue = FluxQueue()

@asynccontextmanager
async def open_database(app: FastAPI) -> AsyncIterator[None]: yield
""",
    "docs/limits.md": FLUXQUEUE,
    "docs/periodic.md": FLUXQUEUE,
    "docs/redis.md": "from fluxqueue import FluxQueue\n",
    "docs/task-options.md": FLUXQUEUE
    + """
from dataclasses import dataclass

@dataclass
class Answer:
    status: int
    retry_after: float

class Bank:
    def charge(self, order: int) -> Answer: ...

bank = Bank()

def tell_operators(text: str) -> None: ...
""",
    "docs/unique.md": FLUXQUEUE,
    "docs/workers.md": FLUXQUEUE + "\ndef serve() -> None: ...\n",
    "tests/chaos/README.md": """
import random
from chaos.fault import Fault, Setup
from chaos.ledger import now
from chaos.recovery import Elsewhere, Known, Recovery
from chaos.stack import Stack
""",
}
# A module that shows an error on purpose, and the error.
WRONG = {"docs_tutorial_01_first_task__wrong": "call-arg"}
# Examples are short: no annotation where none helps the reader, and names that are used again.
LOOSE = (
    "# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators\n"
    "# mypy: allow-incomplete-defs, allow-subclassing-any, allow-any-generics\n"
    '# mypy: disable-error-code="no-redef, empty-body, top-level-await{}"\n'
)


def test_python_blocks_pass_mypy(tmp_path: Path) -> None:
    checked = [
        block._replace(code=f"{{{block.code}}}\n") if PART.match(block.code) else block
        for block in blocks("python")
        if not block.page.startswith(tuple(COMPILED))
    ]
    made = modules(checked, PRELUDES)
    for name, code in made.items():
        loose = LOOSE.format(f", {WRONG[name]}" if name in WRONG else "")
        (tmp_path / f"{name}.py").write_text(loose + code)
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", str(tmp_path)],
        cwd=ROOT, env=os.environ | {"MYPYPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(checked) > 70
    assert set(PRELUDES) <= {block.page for block in checked}


def test_the_other_python_blocks_compile() -> None:
    found = [block for block in blocks("python") if block.page.startswith(tuple(COMPILED))]
    assert len(found) > 8
    for block in found:
        compile(block.code, f"{block.page}:{block.line}", "exec")


def test_a_wrong_block_is_found_in_its_own_page(tmp_path: Path) -> None:
    page = "text\n\n```python\n# a.py\nx = 1\n```\n\n   ```python\n   from a import x\n   ```\n"
    page += "```python\nx.y\n```\n```python\nimport b\n```\n"
    found = list(of_page("docs/p-q.md", page))
    assert [block.line for block in found] == [4, 9, 12, 15]
    assert {block.language for block in found} == {"python"}
    assert modules(found, {"docs/p-q.md": "z = 2\n"}) == {
        "docs_p_q__a": "# a.py\nx = 1\n",
        "docs_p_q__0": "z = 2\nfrom docs_p_q__a import x\nx.y\n",
        "docs_p_q__1": "z = 2\nimport b\n",
    }


@pytest.fixture(scope="module")
def parsers() -> dict[str, Parser]:
    return {name: parser_of(command, name) for name in OWN if (command := load(name))}


def commands(block: Block) -> list[list[str]]:
    """The calls of `fluxqueue` in a block, each as its arguments."""
    found = []
    for line in block.code.replace("\\\n", "").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True) if line[:2] == "$ " else []
        if words[:1] == ["fluxqueue"]:
            found.append([word for word in words[1:] if not word.startswith(">")])
    return found


def test_the_parsers_take_the_commands_of_the_pages(
    parsers: dict[str, Parser], capsys: pytest.CaptureFixture[str]
) -> None:
    count = 0
    for block in [*blocks("console"), *blocks("")]:
        for name, *arguments in commands(block):
            count += 1
            try:
                # `dev` passes others on to the worker.
                _, rest = parsers[name].parse_known_args(arguments)
                if rest:
                    parsers["start"].parse_args(rest)
            except SystemExit:
                error = capsys.readouterr().err
                pytest.fail(f"{block.page}:{block.line}: fluxqueue {name}: {error}")
    assert count > 60


def test_data_in_the_pages_can_be_read() -> None:
    readers: dict[str, Callable[[str], object]] = {
        "json": json.loads,
        "toml": tomllib.loads,
        "yaml": yaml.safe_load,
    }
    for language, read in readers.items():
        found = list(blocks(language))
        assert found
        for block in found:
            assert read(block.code), f"{block.page}:{block.line}"
