"""A change that takes long has a bar in a terminal, and none in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from fluxqueue_control import jobs
from fluxqueue_control.commands.progress_bar import ProgressBar
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings
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


@pytest.mark.parametrize("limit", [1, 3])
def test_a_job_has_a_bar(scripts: Scripts, redis_url: str, limit: int) -> None:
    crowd(scripts)
    start = ["job", "start", "replay", "dead", "-q", "q", "--all", "--limit", str(limit)]
    terminal, end = pty.openpty()
    try:
        out = changed(redis_url, end, *start)
        shown = os.read(terminal, 65_536).decode()
    finally:
        os.close(end)
        os.close(terminal)
    assert out.endswith(f" {limit} done\n")
    assert f"100% of {limit}: {limit} looked at" in shown.rpartition("\r[")[2]


def test_a_job_that_is_resumed_counts_what_it_did_before(scripts: Scripts, redis_url: str) -> None:
    scripts.enqueue(*messages(range(1_000)))
    client = RedisClient(Settings(redis_url), 5.0)
    job = jobs.start(client, "q", "delete", "waiting")
    steps = jobs.run(lambda: client, "q", job)
    while next(steps).outcome.get("done", 0) < 300:
        pass
    del steps  # as if its process were ended
    terminal, end = pty.openpty()
    try:
        changed(redis_url, end, "job", "resume", "-q", "q", job.id)
        shown = os.read(terminal, 65_536).decode()
    finally:
        os.close(end)
        os.close(terminal)
    assert "100% of 1,000: 1,000 looked at" in shown.rpartition("\r[")[2]


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
