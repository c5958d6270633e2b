"""A worker describes itself in a text of bounded size."""

from __future__ import annotations

import json
from pathlib import Path

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
    monkeypatch.setattr("socket.gethostname", lambda: b"ho\xffst".decode(errors="surrogateescape"))
    text = identity(Options(queues=("default",), folder=str(tmp_path)), is_lane=False)
    assert json.loads(text)["host"] == "ho\\udcffst"
    # The core takes it.
    Consumer(Settings("redis://localhost"), ["q"], {"q": {}}, who=text)
