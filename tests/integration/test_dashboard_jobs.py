"""Jobs that visitors of the dashboard start: they run there, stop with it, and can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from fluxqueue_control import jobs
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, key
from fluxqueue_dashboard.access import Access
from fluxqueue_dashboard.app import build
from fluxqueue_dashboard.job_threads import MOST
from support.asgi import ask
from support.planted_shop import PlantedShop, id_of, message
from support.scripts import Scripts
from support.waiting import wait_until

HERE = {"sec-fetch-site": "same-origin"}
SLOW = {"queue": "mails", "what": "cancel waiting", "rate": "0.5", "run": "real"}


@pytest.fixture
def shop(redis: Any, redis_url: str) -> Iterator[PlantedShop]:
    planted = PlantedShop(redis, redis_url)
    yield planted
    planted.close()


@contextmanager
def dashboard(redis_url: str) -> Iterator[Any]:
    application, context = build(Settings(redis_url), Access(anyone="operator"))
    try:
        yield application
    finally:
        context.close()


def post(app: Any, verb: str, form: dict[str, str]) -> tuple[str, str]:
    """Makes a change; returns the notice, and the id of the job."""
    answer = ask(app, f"/changes/{verb}", "POST", form=form, headers=HERE)
    assert answer.status == 303, answer.text
    _, _, query = answer.headers["location"].partition("?")
    found = dict(pair.split("=", 1) for pair in query.split("&"))
    return found["done"], found.get("id", "")


def is_done(control: RedisClient, job: str) -> bool:
    return state(control, job) == "done"


def state(control: RedisClient, job: str, queue: str = "mails") -> str:
    found = jobs.show(control, queue, job)
    assert found is not None
    return found.state


def test_a_job_that_is_one_too_many_is_written_down_and_can_be_resumed(
    shop: PlantedShop, redis_url: str, control: RedisClient
) -> None:
    with dashboard(redis_url) as app:
        begun = [post(app, "job-start", SLOW) for _ in range(MOST)]
        assert {notice for notice, _ in begun} == {"job-started"}
        notice, waits = post(app, "job-start", SLOW)
        assert notice == "job-waits" and state(control, waits) == "stopped"
        assert post(app, "job-resume", {"queue": "mails", "id": waits})[0] == "job-waits"
        first = begun[0][1]
        assert post(app, "job-resume", {"queue": "mails", "id": first})[0] == "job-runs"
        assert post(app, "job-stop", {"queue": "mails", "id": first})[0] == "job-stops"
        wait_until(lambda: state(control, first) == "stopped", what="the stop")
        # Its thread ends a moment after the record says that it has stopped.
        resumed = {"queue": "mails", "id": waits}
        wait_until(lambda: post(app, "job-resume", resumed)[0] == "job-resumed", what="room")
    assert {state(control, job) for _, job in begun} | {state(control, waits)} == {"stopped"}


def test_a_job_that_the_end_of_the_dashboard_stops_is_resumed_by_another_one(
    shop: PlantedShop, redis_url: str, control: RedisClient, redis: Any
) -> None:
    form = {"queue": "mails", "what": "delete dead", "rate": "4", "run": "real"}
    with dashboard(redis_url) as app:
        notice, job = post(app, "job-start", form)
        assert notice == "job-started"
    assert state(control, job) == "stopped"
    left = redis.zcard(key("dead", "mails"))
    assert 0 < left < 7
    with dashboard(redis_url) as app:
        assert post(app, "job-resume", {"queue": "mails", "id": job})[0] == "job-resumed"
        wait_until(lambda: state(control, job) == "done", what="the end of the job")
        assert "7" in ask(app, f"/job?name=mails&id={job}").text
        assert post(app, "job-resume", {"queue": "mails", "id": job})[0] == "no-job"
        assert post(app, "job-stop", {"queue": "mails", "id": job})[0] == "job-ended"
    assert redis.zcard(key("dead", "mails")) == 0
    found = jobs.show(control, "mails", job)
    assert found is not None and found.outcome["done"] == 7


def test_the_page_of_a_job_says_which_error_has_stopped_it(
    shop: PlantedShop, redis_url: str, control: RedisClient, redis: Any
) -> None:
    form = {"queue": "mails", "what": "delete dead", "rate": "2", "run": "real"}
    with dashboard(redis_url) as app:
        _, job = post(app, "job-start", form)
        redis.delete(key("dead:messages", "mails"))
        redis.set(key("dead:messages", "mails"), "text")
        page = f"/job?name=mails&id={job}"
        wait_until(lambda: "WRONGTYPE" in ask(app, page).text, what="the error")
        assert state(control, job) == "stopped"


def test_a_small_purge_is_done_at_once_and_a_large_one_is_a_job(
    shop: PlantedShop, redis_url: str, control: RedisClient, redis: Any
) -> None:
    with dashboard(redis_url) as app:
        form = {"queue": "mails", "part": "waiting"}
        assert post(app, "purge", form) == ("purged", "")
        redis.lpush(key("pending", "mails"), *[shop.waiting] * 2_001)
        notice, job = post(app, "purge", form)
        assert notice == "job-started"
        wait_until(lambda: state(control, job) == "done", what="the end of the job")
        assert redis.llen(key("pending", "mails")) == 0
        assert post(app, "purge", form | {"rate": "x"})[0] == "job-wrong"


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": "0"},
        {"rate": "nan"},
        {"limit": "1.5"},
        {"older": "-1"},
        {"argument": "order.id"},
        {"id": "x*"},
        {"header": "tenant"},
        {"reason": "failed"},
        {"what": "move waiting"},
        {"what": "move waiting", "target": "no queue"},
    ],
)
def test_a_wrong_job_is_not_written_down(
    shop: PlantedShop, redis_url: str, control: RedisClient, wrong: dict[str, str]
) -> None:
    with dashboard(redis_url) as app:
        before = jobs.read_last(control, "mails")
        assert post(app, "job-start", SLOW | wrong)[0] == "job-wrong"
        assert jobs.read_last(control, "mails") == before
        assert ask(app, "/job?name=mails&id=none").status == 404


def test_a_verb_that_does_not_go_with_a_part_is_refused(redis_url: str) -> None:
    with dashboard(redis_url) as app:
        for what in ("replay waiting", "eat dead", "", "cancel"):
            form = {"queue": "mails", "what": what}
            assert ask(app, "/changes/job-start", "POST", form=form, headers=HERE).status == 400
        assert post(app, "job-repeat", {"queue": "mails", "id": "none"})[0] == "no-job"


def test_a_job_chooses_tasks_by_id_and_by_a_header_whose_value_viewers_do_not_see(
    shop: PlantedShop, redis_url: str, control: RedisClient, redis: Any
) -> None:
    globex = message("shop.send_mail", [1])[:-1] + b',"headers":{"tenant":"globex"}}'
    Scripts(redis, "mails").enqueue(globex)
    form = {"queue": "mails", "what": "delete waiting", "run": "real"}
    with dashboard(redis_url) as app:
        for more in ({"header": "tenant=globex"}, {"id": f"{id_of(shop.waiting)[:-1]}*"}):
            _, job = post(app, "job-start", form | more)
            wait_until(partial(is_done, control, job))
            text = ask(app, f"/job?name=mails&id={job}").text
            found = jobs.show(control, "mails", job)
            assert found is not None and dict(found.outcome) == {"done": 1}
            assert "tenant" in text or more["id"] in text
            assert "globex" not in text and "globex" not in ask(app, "/jobs").text
        assert redis.llen(key("pending", "mails")) == 126


def test_a_job_chooses_tasks_by_an_argument_that_viewers_do_not_see(
    shop: PlantedShop, redis_url: str, control: RedisClient
) -> None:
    with dashboard(redis_url) as app:
        form = {"queue": "mails", "what": "delete waiting", "argument": "0=grace@example.com"}
        _, job = post(app, "job-start", form)
        wait_until(lambda: state(control, job) == "done", what="the end of the job")
        found = jobs.show(control, "mails", job)
        assert found is not None and found.dry_run and found.outcome["chosen"] == 1
        text = ask(app, f"/job?name=mails&id={job}").text
        assert "Argument" in text and "grace@example.com" not in text
