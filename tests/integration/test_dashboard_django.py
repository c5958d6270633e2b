"""The dashboard in an ASGI application of Django, mounted as docs/dashboard.md says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fluxqueue_core import key
from support.ports import free_port
from support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs/dashboard.md").read_text()
BEFORE = """
from django.conf import settings
settings.configure(SECRET_KEY="of a test", ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__)

from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
from fluxqueue_dashboard.access import Access, Visitor
from fluxqueue_dashboard.app import dashboard

def visitor(scope):
    name = dict(scope["headers"]).get(b"user", b"").decode()
    return Visitor(name, "operator" if name == "ada" else "viewer") if name else None

urlpatterns = [path("hello", lambda request: HttpResponse("hello from Django"))]
"""


def documented() -> str:
    """The code of the page that mounts it in Django."""
    [code] = re.findall(r"In Django's `asgi.py`:\n\n```python\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


@contextmanager
def served(folder: Path, redis_url: str) -> Iterator[str]:
    (folder / "asgi.py").write_text(BEFORE + documented())
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "asgi:application", "--port", str(port)]
    environment = os.environ | {"FLUXQUEUE_REDIS_URL": redis_url}
    with subprocess.Popen([*command, "--lifespan", "off"], cwd=folder, env=environment) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: get(f"{url}/hello")[0] == 200, what="Django")
            yield url
        finally:
            process.terminate()


def get(url: str, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str]:
    data = None if form is None else urlencode(form).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data, headers=sent), timeout=60
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_django_serves_the_dashboard_below_a_path(
    tmp_path: Path, redis_url: str, redis: Any
) -> None:
    redis.sadd(key("queues"), "mails")
    with served(tmp_path, redis_url) as url:
        assert get(f"{url}/hello") == (200, "hello from Django")
        assert get(f"{url}/nothing")[0] == 404
        assert get(f"{url}/queues/")[0] == 401
        status, text = get(f"{url}/queues/", user="eve")
        assert status == 200 and 'href="/queues/queue?name=mails"' in text
        assert get(f"{url}/queues/static/dashboard.js", user="eve")[0] == 200
        change, form = f"{url}/queues/changes/pause", {"queue": "mails"}
        assert get(change, form, user="eve", sec_fetch_site="same-origin")[0] == 403
        assert get(change, form, user="ada", sec_fetch_site="cross-site")[0] == 403
        assert not redis.exists(key("paused", "mails"))
        # Redirects to the page of the queue, below the path.
        status, text = get(change, form, user="ada", sec_fetch_site="same-origin")
        assert status == 200 and "The queue is paused." in text
        assert redis.exists(key("paused", "mails"))
        job = {"queue": "mails", "what": "delete dead", "run": "real"}
        status, text = get(
            f"{url}/queues/changes/job-start", job, user="ada", sec_fetch_site="same-origin"
        )
        assert status == 200 and "The job has begun." in text
