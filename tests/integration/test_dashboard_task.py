"""The page of one task says why it does not run, and what is known of one that has ended."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fluxqueue_control import pausing, strikes
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_core import Settings, key
from fluxqueue_dashboard.access import Access
from fluxqueue_dashboard.app import build
from support.asgi import ask
from support.scripts import DAY, Scripts, message

WHO = '{"host":"h","pid":7,"version":"1","slots":%d,"queues":["q"]}'
LIMIT = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def app(redis_url: str) -> Iterator[Any]:
    application, context = build(Settings(redis_url), Access())
    yield application
    context.close()


def page(app: Any, raw: bytes) -> str:
    answer = ask(app, f"/task?queue=q&id={raw[13:49].decode()}")
    assert answer.status == 200
    return html.unescape(answer.text)


def reasons(app: Any, raw: bytes) -> list[str]:
    text = page(app, raw)
    _, _, panel = text.partition('<section class="panel why"')
    return re.findall("<li>(.*?)</li>", panel.partition("</section>")[0])


def serve(scripts: Scripts, slots: int = 2) -> None:
    scripts.open("c", who=WHO % slots)
    scripts.redis.zadd(scripts.key("consumers"), {"c": scripts.now() + DAY})


def test_a_task_that_waits_has_all_reasons(
    app: Any, scripts: Scripts, control: RedisClient
) -> None:
    scripts.enqueue(message(1), message(2))
    assert reasons(app, message(1)) == ["No worker serves queue 'q': start one."]
    serve(scripts)
    assert reasons(app, message(1)) == []
    assert reasons(app, message(2)) == ["1 task is ahead of it."]
    pausing.pause(control, "q")
    rule = strikes.Strike("n")
    strikes.strike(control, "q", rule)
    assert reasons(app, message(1)) == [
        "The queue is paused: resume it.",
        f"Strike {rule.id} stops it: a worker parks it as dead.",
    ]


def test_a_task_without_a_free_slot_says_how_many_are_before_it(app: Any, scripts: Scripts) -> None:
    serve(scripts, slots=1)
    scripts.claim("c", message(1))
    scripts.redis.zadd(scripts.key("consumers"), {"c": scripts.now() + DAY})
    scripts.enqueue(message(2), message(3))
    assert reasons(app, message(3)) == ["All 1 slots of 1 workers are busy; 1 tasks are before it."]
    assert reasons(app, message(1)) == []


def test_a_task_that_no_worker_knows_says_so(app: Any, scripts: Scripts) -> None:
    serve(scripts)
    unknown = message(2)[:-1] + b',"unknown_since":1764430000000}'
    scripts.redis.zadd(scripts.key("delayed"), {unknown: scripts.now() + 60_000})
    due, name = reasons(app, unknown)
    assert due.startswith("It is due in ") and "the name 'n' for" in name


def test_a_task_that_waits_for_its_limit_has_its_numbers(app: Any, scripts: Scripts) -> None:
    serve(scripts)
    limited = [message(number, opts=f'{{"l":"{LIMIT}:1:0:1"}}') for number in (1, 2, 3)]
    for each in limited:
        scripts.enqueue_unique(("+0 limit 1 n", each))
    [reason] = reasons(app, limited[2])
    assert "1 of 1 places taken; 1 tasks of its key are before it" in reason


def test_a_task_that_has_ended_has_its_name_attempts_and_worker(app: Any, redis: Any) -> None:
    task_id = message(1)[13:49]
    outcome = b'{"state":"succeeded","value":3,"attempts":2,"enqueued":1000,"started":2000'
    redis.set(key("result", "q", task_id.decode()), outcome + b',"finished":3000,"worker":"h:7"}')
    assert "A task that has ended" in page(app, message(1))
    redis.zadd(key("finished", "q"), {task_id + b" shop.ship": 4e12})
    text = page(app, message(1))
    assert '<span class="name">shop.ship</span>' in text
    assert re.search(r"<dt>Attempts</dt><dd>2</dd>.*<dt>Worker</dt><dd>h:7</dd>", text, re.DOTALL)
    titles = re.findall(r"<li class=\"\w+\"><strong>(.*?)</strong>", text)
    assert titles == ["Enqueued", "Last attempt began", "Ended: succeeded"]
