"""A worker describes itself in a text of bounded size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fluxqueue_core import Consumer, Settings
from fluxqueue_worker.identity import identity
from fluxqueue_worker.options import Options


@pytest.mark.parametrize("letter", ["q", "\U00010000"])
def test_the_text_fits_however_many_queues_are_served(letter: str, tmp_path: Path) -> None:
    bytes_of_one = len(letter.encode())
    names = [f"{number:04}" + letter * (124 // bytes_of_one) for number in range(1_000)]
    text = identity(Options(queues=tuple(names), folder=str(tmp_path)), is_lane=True)
    who = json.loads(text)
    assert who["queues"] == names[: len(who["queues"])] and len(who["queues"]) >= 20
    assert who["suspects"] is True
    # The core takes it.
    Consumer(Settings("redis://localhost"), ["q"], {"q": {}}, who=text)


def test_a_host_name_that_is_not_utf_8_is_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uname = SimpleNamespace(nodename=b"ho\xffst".decode(errors="surrogateescape"))
    monkeypatch.setattr("os.uname", lambda: uname)
    text = identity(Options(queues=("default",), folder=str(tmp_path)), is_lane=False)
    assert json.loads(text)["host"] == "ho\\udcffst"
    # The core takes it.
    Consumer(Settings("redis://localhost"), ["q"], {"q": {}}, who=text)


def test_a_worker_starts_without_modules_that_it_does_not_need() -> None:
    code = (
        "import sys, fluxqueue_worker.cli, fluxqueue_worker.worker\n"
        "from fluxqueue_worker.options import parse\n"
        "parse(['-t', 'app'], 'x')\n"
        "print(sorted({'shutil', 'socket', 'selectors', 'pathlib'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
