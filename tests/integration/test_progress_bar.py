"""A change that takes long has a bar in a terminal, and none in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from fluxqueue_control.commands.progress_bar import ProgressBar
from support.operator_commands import crowd
from support.scripts import Scripts, messages


def purged(redis_url: str, stderr: int) -> str:
    return changed(redis_url, stderr, "purge", "q", "waiting")


def changed(redis_url: str, stderr: int, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fluxqueue", *words, "-r", redis_url],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_terminal_gets_a_bar(scripts: Scripts, redis_url: str) -> None:
    scripts.enqueue(*messages(range(2_000)))
    terminal, end = pty.openpty()
    try:
        assert purged(redis_url, end) == "2000 waiting removed\n"
        shown = os.read(terminal, 65_536).decode()
    finally:
        os.close(end)
        os.close(terminal)
    assert "100% of 2,000: 2,000 removed" in shown.rpartition("\r[")[2]


def test_a_replay_has_one_too_if_its_answers_go_elsewhere(scripts: Scripts, redis_url: str) -> None:
    crowd(scripts)
    terminal, end = pty.openpty()
    try:
        out = changed(redis_url, end, "dead", "replay", "-q", "q", "--all")
        shown = os.read(terminal, 65_536).decode()
    finally:
        os.close(end)
        os.close(terminal)
    assert out.count("requeued\n") == 3
    assert "100% of 3: 3 requeued" in shown.rpartition("\r[")[2]


def test_a_pipe_gets_none(scripts: Scripts, redis_url: str) -> None:
    scripts.enqueue(*messages(range(2_000)))
    reading, writing = os.pipe()
    assert purged(redis_url, writing) == "2000 waiting removed\n"
    os.close(writing)
    assert os.read(reading, 1_000) == b""
    os.close(reading)


def test_without_a_total_there_is_a_number_and_a_rate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ProgressBar(None, "requeued", is_shown=True) as bar:
        bar.update(1_234)
    shown = capsys.readouterr().err
    assert "1,234 requeued, " in shown and "[" not in shown
