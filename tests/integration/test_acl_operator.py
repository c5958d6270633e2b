"""The rights of an operator: enough for every command, and for looking only."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_control import (
    audit,
    cancelling,
    dead,
    groups,
    jobs,
    listing,
    locks,
    pausing,
    purge,
    queues,
    registry,
    strikes,
    tasks,
    workers,
)
from fluxqueue_control.errors import AccessDenied
from fluxqueue_control.finished import read_finished, show_finished
from fluxqueue_control.redis_client import RedisClient
from fluxqueue_control.requeue import requeue
from fluxqueue_control.search import Query, search
from fluxqueue_core import Settings, key
from redis.exceptions import ResponseError
from support import acl
from support.scripts import DAY, Outcome, Scripts, field, message

pytestmark = pytest.mark.versions
# Another database than 0, which needs a right.
DATABASE = 1
LOCK = '{"r":60000,"u":"0123456789abcdef0123456789abcdef:60000"}'
LIMITED = '{"l":"0123456789abcdef0123456789abcdef:1:0:1"}'
RANKED = '{"p":5}'
REASON = b'{"reason":"failed","error":"e"}'


def fill(admin: Any) -> None:
    scripts = Scripts(admin)
    admin.sadd(key("queues"), "q")
    scripts.open("c")
    dying = [message(1, opts=LOCK), message(2, opts=RANKED), message(3, opts=RANKED)]
    scripts.claim("c", *dying, message(4), message(5))
    outcomes = [Outcome(field(raw), "dead", REASON, "1") for raw in (*dying, message(4))]
    scripts.exchange("c", outcomes=outcomes)
    scripts.enqueue(message(6), message(7, opts=LOCK))
    scripts.enqueue_ranked(*(message(n, opts=RANKED) for n in (8, 9)))
    later = {message(n): scripts.now() + DAY for n in (10, 11)}
    admin.zadd(scripts.key("delayed"), later)
    admin.zadd(scripts.key("finished"), {message(20)[13:49] + b" n": scripts.now() + DAY})
    admin.set(scripts.key("result", message(20)[13:49].decode()), '{"state":"succeeded"}')
    admin.zadd(scripts.key("cancelled"), {message(1)[13:49]: 1, message(11)[13:49]: 1})


def look(client: RedisClient) -> None:
    assert registry.read_names(client).names == ("q",)
    assert queues.read_lengths(client, ["q"])["q"].dead == 4
    assert pausing.read_paused(client, ["q"]) == {"q": False}
    assert [worker.consumer for worker in workers.scan(client, "q")] == ["c"]
    assert workers.show(client, "q", "c") is not None
    page = dead.read_page(client, "q")
    assert dead.show(client, "q", page.tasks[0].entry) == page.tasks[0]
    assert list(groups.scan(client, "q", refresh=False)) == []
    assert audit.read_page(client, "q").entries == []
    assert jobs.read_last(client, "q") == [] and jobs.show(client, "q", "none") is None
    assert strikes.read_all(client, "q") == []
    for number in (1, 5, 6, 9, 10, 99):
        tasks.find(client, "q", message(number)[13:49].decode())
    for state in listing.LISTED_STATES:
        first = listing.read_tasks(client, "q", state, limit=1)
        assert first.cursor is None or listing.read_tasks(client, "q", state, first.cursor)
    kept = message(20)[13:49].decode()
    assert [task.task_id for task in read_finished(client, "q").tasks] == [kept]
    assert show_finished(client, "q", kept) is not None
    assert locks.read_page(client, "q").locks == [] and locks.show(client, "q", "x") is None
    hits = list(search(client, "q", Query(text="n")))
    assert sum(len(each.tasks) for each in hits) == 11


def change(client: RedisClient) -> None:
    pausing.pause(client, "q")
    pausing.resume(client, "q")
    found = list(groups.scan(client, "q"))
    assert len(found) == 1
    group = found[0]
    assert len(dead.read_page(client, "q", group=group.digest).tasks) == 4
    assert tasks.run_now(client, "q", message(11)[13:49].decode()) == "moved"
    done = requeue(client, "q", dead.read_page(client, "q", limit=3).tasks)
    done += requeue(client, "q", dead.read_page(client, "q").tasks)
    assert {one.verdict for one in done} == {"requeued"}
    for number in (6, 8, 10):  # the second one is at the head of pending
        assert tasks.delete(client, "q", message(number)[13:49].decode()) == "deleted"
    rule = strikes.Strike("n")
    strikes.strike(client, "q", rule)
    strikes.lift(client, "q", rule.id)
    assert cancelling.cancel(client, "q", message(5)[13:49].decode()) == "requested"
    job = jobs.start(client, "q", "move", "waiting", limit=1, target="other")
    assert list(jobs.run(lambda: client, "q", job))[-1].outcome["done"] == 1
    for part in purge.PARTS:
        list(purge.purge(client, "q", part))


@pytest.fixture
def operator(server: EmbeddedRedis) -> Any:
    made: list[RedisClient] = []

    def make() -> RedisClient:
        made.append(RedisClient(Settings(acl.url("operator", f"{server.url}/{DATABASE}")), 5.0))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_the_rights_are_enough(admin: Any, operator: Any) -> None:
    acl.create(admin, "operator", acl.of_operating())
    fill(admin)
    look(operator())
    change(operator())
    assert acl.refused(admin) == []
    assert Scripts(admin).stats()["requeued"] == 4


def test_limited_tasks_need_more_rights(admin: Any, operator: Any) -> None:
    [more] = re.findall(r"With limits it is\s+also `([^`]+)`", acl.PAGE)
    acl.create(admin, "operator", [*acl.of_operating(), *more.split()])
    scripts, limited = Scripts(admin), [message(number, opts=LIMITED) for number in (1, 2, 3, 4)]
    scripts.open("c")
    scripts.claim("c", *limited)
    scripts.exchange("c", outcomes=[Outcome(field(raw), "dead", REASON, "1") for raw in limited])
    client = operator()
    assert len(requeue(client, "q", dead.read_page(client, "q").tasks)) == 4
    assert purge.count(client, "q", "waiting") == 4
    search = tasks.find(client, "q", message(3)[13:49].decode())
    assert search.task is not None and search.task.state == "limited"
    assert tasks.delete(client, "q", message(3)[13:49].decode()) == "deleted"
    assert list(purge.purge(client, "q", "waiting"))[-1] == 3
    assert acl.refused(admin) == []
    assert admin.keys("fluxqueue:{q}:limit*") == []


@pytest.mark.parametrize("command", sorted(acl.commands(acl.of_operating()) - {"client|setname"}))
def test_without_one_of_the_commands_something_is_refused(
    admin: Any, operator: Any, command: str
) -> None:
    acl.create(admin, "operator", acl.without(acl.of_operating(), command))
    fill(admin)
    admin.script_flush()
    # Some refusals stop nothing.
    with suppress(ResponseError, AccessDenied, AssertionError):
        look(operator())
        change(operator())
    assert acl.refused(admin) != []


def test_an_operator_that_only_looks_changes_nothing(admin: Any, operator: Any) -> None:
    acl.create(admin, "operator", acl.of_looking())
    fill(admin)
    before = {name: admin.dump(name) for name in admin.keys("*")}
    look(operator())
    assert acl.refused(admin) == []
    with pytest.raises((ResponseError, AccessDenied)):
        change(operator())
    with pytest.raises((ResponseError, AccessDenied)):
        list(purge.purge(operator(), "q", "dead"))
    assert {name: admin.dump(name) for name in admin.keys("*")} == before
