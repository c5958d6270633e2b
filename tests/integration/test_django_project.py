"""The rest of a project: system checks, the command, the admin, imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluxqueue_core import key
from redis import Redis
from support.django_process import DjangoWorker, tasks_in, variables
from support.waiting import wait_until


@pytest.mark.parametrize(
    ("options", "queues", "id", "text"),
    [
        ({}, None, None, ""),
        ({"TASK_OPTIONS": {"*": {"timeout": 5}}}, None, None, ""),
        ({"REDIS_URL": "http://x"}, None, "E001", "TASKS['default']"),
        ({"BANANAS": 1}, None, "E001", "OPTIONS has no 'BANANAS'; it takes REDIS_URL,"),
        ({"RESULT_TTL": 0}, None, "E001", "RESULT_TTL"),
        ({"RESULT_TTL": "1d"}, None, "E001", "RESULT_TTL"),
        ({"CLIENT": {"timeout": -1}}, None, "E001", "timeout"),
        ({"TASK_OPTIONS": {"*": {"bananas": 1}}}, None, "E001", "no option 'bananas'"),
        ({"TASK_OPTIONS": {"*": {"priority": 1}}}, None, "E001", "use priority="),
        ({"TASK_OPTIONS": {"*": {"timeout": 0}}}, None, "E001", "TASK_OPTIONS['*']: timeout"),
        ({"TASK_OPTIONS": {"shop.tasks.gone": {}}}, None, "E004", "'shop.tasks.gone'"),
        ({"TASK_OPTIONS": {"*": 5}}, None, "E001", "TASK_OPTIONS['*'] must be a dict, not int"),
        ({"TASK_OPTIONS": ["*"]}, None, "E001", "TASK_OPTIONS must be a dict, not list"),
        ({"CLIENT": 5}, None, "E001", "CLIENT must be a dict, not int"),
        ({"DASHBOARD_URL": "queues.example"}, None, "E001", "give a URL of http or https"),
        ({"TASK_OPTIONS": {}}, ["a b"], "E002", "'a b'"),
        ({}, "default", "E001", "QUEUES must be a list, not str"),
        ({}, 5, "E001", "QUEUES must be a list, not int"),
        ({"ENQUEUE_ON_COMMIT": "third"}, None, "E003", "no such alias"),
        ({"ENQUEUE_ON_COMMIT": True}, None, "E001", "ENQUEUE_ON_COMMIT must be a str"),
    ],
)
def test_manage_check_finds_wrong_settings(
    redis_url: str, options: dict[str, Any], queues: Any, id: str | None, text: str
) -> None:
    from django.core.checks import run_checks

    with tasks_in(redis_url, queues, **options):
        found = [each for each in run_checks() if str(each.id).startswith("fluxqueue.")]
    if id is None:
        assert found == []
    else:
        [message] = found
        assert message.id == f"fluxqueue.{id}" and text in message.msg.replace('"', "'")


def test_manage_check_finds_that_the_package_for_results_is_missing(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fluxqueue.django import checks

    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with tasks_in(redis_url) as backend:
        [message] = backend.check()
    assert message.id == "fluxqueue.E006" and "fluxqueue-control" in message.msg
    with tasks_in(redis_url, RESULT_TTL=None) as backend:
        assert list(backend.check()) == []


def test_the_client_is_imported_without_django() -> None:
    program = (
        "import sys, fluxqueue; fluxqueue.FluxQueue; import fluxqueue.django;"
        "assert not {'django', 'asgiref'} & {*sys.modules}, 'imported'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.fixture
def site(redis_url: str) -> Iterator[Any]:
    """The database of users, and a function that logs a user in."""
    from django.contrib.auth.models import Permission, User
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    User.objects.all().delete()

    def client(name: str, *permissions: str) -> Client:
        user = User.objects.create_user(name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        return client

    with tasks_in(redis_url, DASHBOARD_URL="https://queues.example/"):
        yield client


PAGE = "/admin/fluxqueue/queue/"


def test_the_admin_shows_queues_and_a_task(site: Any, redis: Redis) -> None:
    from support.django_site.parcels import tasks

    result = tasks.add.enqueue(1, 2)
    redis.sadd(key("queues"), "of-a-worker")
    client = site("ada", "view_queue")
    text = client.get(PAGE).content.decode()
    for name in ("default", "mails", "nobody", "of-a-worker"):
        assert f'<th scope="row">{name}</th>' in text
    assert '<th scope="row">default</th><td>1</td><td>0</td><td>0</td><td>0</td><td>0</td>' in text
    assert 'href="https://queues.example/"' in text
    assert PAGE in client.get("/admin/").content.decode()
    text = client.get(PAGE, {"task": result.id}).content.decode()
    assert "<td>READY</td>" in text and "support.django_site.parcels.tasks.add" in text
    text = client.get(PAGE, {"task": "<script>"}).content.decode()
    assert "No backend knows this task" in text and "<script>" not in text.partition("content")[2]


def test_the_admin_asks_for_the_permission(site: Any, redis: Redis) -> None:
    from django.test import Client

    eve = site("eve")
    assert eve.get(PAGE).status_code == 403
    assert PAGE not in eve.get("/admin/").content.decode()
    assert Client().get(PAGE).status_code == 302
    ada = site("ada", "view_queue", "add_queue", "change_queue", "delete_queue")
    for page in ("add/", "default/delete/"):
        assert ada.get(f"{PAGE}{page}").status_code == 404
    assert ada.post(PAGE, {"action": "delete_selected"}).status_code == 405


def test_the_admin_shows_that_redis_is_unreachable(site: Any) -> None:
    ada = site("ada", "view_queue")
    with tasks_in("redis://127.0.0.1:1", CLIENT={"timeout": 0.2}):
        page = ada.get(PAGE, {"task": "019aa0c2-7b1f-7c3e-8d2a-0123456789ab"})
    text = page.content.decode()
    assert page.status_code == 200 and text.count("errornote") == 2
    assert "Unknown whether this task exists: default" in text and "No backend" not in text


def test_the_admin_shows_wrong_settings(site: Any, redis_url: str) -> None:
    ada = site("ada", "view_queue")
    with tasks_in(redis_url, BANANAS=1):
        page = ada.get(PAGE, {"task": "x"})
    assert page.status_code == 200
    assert page.content.decode().count("OPTIONS has no &#x27;BANANAS&#x27;") == 1


def run(folder: Path, redis_url: str, *words: str, **more: str) -> tuple[int, str]:
    """Runs the command to its end; returns its code and what it said."""
    environment = {**os.environ, **variables(folder), "FLUXQUEUE_REDIS_URL": redis_url, **more}
    done = subprocess.run(
        [sys.executable, "-m", "support.django_site.command", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_command_names_a_wrong_option(tmp_path: Path, redis_url: str) -> None:
    from django.core.management import CommandError, call_command

    code, said = run(tmp_path, redis_url, "--concurrency", "4", "--bananas", "1")
    assert code == 2 and "manage.py fluxqueue_worker: unrecognized arguments: --bananas 1" in said
    with (
        tasks_in(redis_url),
        pytest.raises(CommandError, match="no backend 'mails'; it has default"),
    ):
        call_command("fluxqueue_worker", "--backend", "mails")


ALL = ["-q", "default,mails,nobody"]


@pytest.mark.parametrize(
    ("words", "settings", "passed"),
    [
        ([], {}, ALL),
        (["-c", "8", "--processes=2"], {}, ["-c", "8", "--processes=2", *ALL]),
        (["-q", "mails"], {}, ["-q", "mails"]),
        (["--queue=mails"], {}, ["--queue=mails"]),
        (["-qmails"], {}, ["-qmails"]),
        ([], {"DEBUG": True}, [*ALL, "--reload"]),
        (["--no-reload"], {"DEBUG": True}, ["--no-reload", *ALL]),
        (["--reload"], {"DEBUG": True}, ["--reload", *ALL]),
    ],
)
def test_the_command_passes_options_to_the_worker(
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
    words: list[str],
    settings: dict[str, Any],
    passed: list[str],
) -> None:
    from django.core.management import call_command
    from django.test import override_settings
    from fluxqueue_worker import cli

    given: list[Any] = []

    def main(argv: list[str], prog: str) -> int:
        given.append(argv)
        return 7

    monkeypatch.setattr(cli, "main", main)
    for name in ("FLUXQUEUE_REDIS_URL", "FLUXQUEUE_NAMESPACE", "PYTHONPATH"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("FLUXQUEUE_DJANGO_BACKEND", "")
    with (
        tasks_in(redis_url, NAMESPACE="shop"),
        override_settings(**settings),
        pytest.raises(SystemExit, match="7"),
    ):
        call_command("fluxqueue_worker", *words)
    assert given == [["-t", "fluxqueue.django.worker_app", *passed]]
    assert os.environ["FLUXQUEUE_REDIS_URL"] == redis_url
    assert os.environ["FLUXQUEUE_NAMESPACE"] == "shop"
    assert os.environ["FLUXQUEUE_DJANGO_BACKEND"] == "default"


def test_the_children_of_the_command_find_the_project(tmp_path: Path, redis_url: str) -> None:
    with DjangoWorker(tmp_path, redis_url, queue="mails", reload=True) as worker:
        worker.wait_for("reload.started")
        worker.wait_for("worker.connected", queue="mails")
        assert not worker.named("worker.connected", queue="default")
        with tasks_in(redis_url):
            from support.django_site.parcels import tasks

            result = tasks.mail.enqueue("ada", when="today")
            wait_until(lambda: tasks.mail.get_result(result.id).is_finished)
        assert worker.stop() == 0, worker.output()
