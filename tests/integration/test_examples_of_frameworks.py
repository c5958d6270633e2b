"""The examples of web frameworks, started by the commands of their READMEs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.ports import free_port
from support.probing import get
from support.waiting import exit_code, wait_until

ROOT = Path(__file__).parents[2]


@contextmanager
def example(name: str) -> Iterator[str]:
    """The URL of an example that runs, with its own Redis."""
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FLUXQUEUE_")}
    command = [sys.executable, f"examples/{name}"]
    with subprocess.Popen(command, cwd=ROOT, env=environment | {"PORT": str(port)}) as process:
        try:
            wait_until(lambda: get(port, "/")[0] == 200, what="the page of the example")
            yield f"http://127.0.0.1:{port}"
            process.terminate()
            assert exit_code(process) in (0, -signal.SIGTERM)
        finally:
            process.kill()


def ask(url: str, order: object = None) -> tuple[int, Any]:
    """Returns status and JSON, including those of an error."""
    body = None if order is None else json.dumps(order).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_report_is_ordered_followed_and_read() -> None:
    with example("fastapi_app") as url:
        status, placed = ask(f"{url}/reports", {"title": "Sales", "pages": 12})
        assert status == 202
        report = f"{url}/reports/{placed['id']}"
        with urllib.request.urlopen(f"{report}/events", timeout=30) as stream:
            events = stream.read().decode().split("\n\n")[:-1]
        assert events[0].startswith("event: progress\n")
        assert events[-1] == 'event: end\ndata: {"status":"succeeded"}'
        assert ask(report) == (200, {"status": "done", "report": "Sales, 12 pages"})
        assert ask(f"{url}/reports", {"title": "", "pages": 1})[0] == 422
        assert ask(f"{url}/reports/nothing") == (404, {"detail": "there is no such task"})
        port = int(url.rpartition(":")[2])
        assert "EventSource" in get(port, "/")[1]
        assert "default" in get(port, "/queues/")[1]


def test_a_letter_is_written_by_the_worker() -> None:
    with example("flask_app") as url:
        port = int(url.rpartition(":")[2])
        form = urllib.parse.urlencode({"name": "<Ada>"}).encode()
        with urllib.request.urlopen(f"{url}/letters", form, timeout=30) as answer:
            assert answer.status == 200 and answer.url == f"{url}/"
        wait_until(lambda: "<li>Dear &lt;Ada&gt;!</li>" in get(port, "/")[1])
        with pytest.raises(urllib.error.HTTPError, match="422"):
            urllib.request.urlopen(f"{url}/letters", b"name=+", timeout=30)
