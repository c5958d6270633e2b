"""The rights of docs/security.md: enough, and none too many.

Each role makes a tour through all that it ever asks of Redis, as the user that
the page describes; without any single one of its commands the tour fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fluxqueue import BrokerError, FluxQueue
from fluxqueue.embedded import EmbeddedRedis
from fluxqueue_control.errors import BrokerNotReady
from fluxqueue_control.redis_client import RedisClient, ScriptCall
from fluxqueue_core import Settings, key, key_kinds, script, script_keys
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from support import acl
from support.scripts import DAY, GAP, GRACE, LEASE, Outcome, Scripts, field, message
from support.sent import Sent
from support.waiting import wait_until
from support.worker_process import WorkerProcess

# The words of a refusal differ between servers.
pytestmark = pytest.mark.versions
DATABASE = 3
REASON = b'{"reason":"failed","error":"e"}'


@pytest.fixture(params=acl.VERSIONS)
def rules(request: pytest.FixtureRequest, admin: Any) -> dict[str, list[str]]:
    """The page's users, made, and their rules by role."""
    if request.param not in acl.versions_for(admin):
        pytest.skip("this server does not know the lines for Redis 7")
    found = acl.lines(request.param)
    assert sorted(found) == sorted(acl.ROLES)
    for role, of_role in found.items():
        acl.create(admin, role, of_role)
    return found


def url(server: EmbeddedRedis, role: str) -> str:
    return acl.url(role, f"{server.url}/{DATABASE}")


def client_tour(server: EmbeddedRedis, sent: Sent) -> None:
    app = FluxQueue(url(server, "client"), namespace=sent.namespace)

    @app.task(queue="q")
    def work(number: int) -> None: ...

    work(1)
    assert work.enqueue_many([(2,), (3,)]) == 2
    app.close()


def client_options_tour(server: EmbeddedRedis, sent: Sent) -> None:
    """The script by its text and by its digest, and the pushes of other calls."""
    app = FluxQueue(url(server, "client-options"), namespace=sent.namespace)

    @app.task(queue="q")
    def work(number: int) -> None: ...

    sent.redis.script_flush()
    for _ in range(2):
        work.options(delay=3_600).enqueue(1)
    assert work.enqueue_many([(2,), work.options(delay=60).call(3)]) == 2
    work.options(headers={"a": "b"}, task_id="order-17").enqueue(4)
    work(5)
    app.close()


def worker_tour(server: EmbeddedRedis, by_hand: Sent) -> None:
    """Every branch of the worker's two scripts, and its plain commands."""
    with Redis.from_url(url(server, "worker"), protocol=2) as user:
        scripts = Scripts.__new__(Scripts)  # whose own beginning asks for INFO
        scripts.redis, scripts.queue, scripts.flags = user, "q", by_hand.flags
        scripts.namespace = by_hand.namespace
        user.sadd(by_hand.key("queues"), "q")
        scripts.open("a")
        exchange = script("exchange", by_hand.flags)
        digest = by_hand.redis.script_load(exchange)
        keys = script_keys("exchange", "q", "a", namespace=by_hand.namespace)
        arguments = ["a", LEASE, 0, "pending", "1", GRACE, 0]
        user.execute_command("EVALSHA", digest, len(keys), *keys, *arguments)
        by_hand.enqueue(message(0))
        user.blmove(by_hand.key("pending"), by_hand.key("inbox", "a"), 1, "RIGHT", "LEFT")
        by_hand.enqueue(*(message(number) for number in range(1, 7)))
        held = [message(number) for number in range(7)]
        assert len(scripts.exchange("a", 10).claimed) == 6
        # Malformed messages and duplicates are parked.
        by_hand.enqueue(b"malformed", held[0], message(7))
        assert len(scripts.exchange("a", 10).parked) == 2
        # Messages for a newer worker are put off, and parked after the grace.
        by_hand.enqueue(b'{"v":3,"new":1}')
        scripts.exchange("a", 10)
        by_hand.enqueue(b'{"v":3,"new":2}')
        assert len(scripts.exchange("a", 10, grace=0).parked) == 1
        outcomes = [
            Outcome(field(held[1]), "retry", message(1, retries=1), "0"),
            Outcome(field(held[2]), "later", message(2), "0"),
            Outcome(field(held[3]), "dead", REASON, "1"),
            Outcome(field(held[4]), "release"),
        ]
        by_hand.numbers.discard(0)
        assert scripts.exchange("a", succeeded=[field(held[0])], outcomes=outcomes).parked == []
        by_hand.enqueue(message(8))
        # The best of those with priorities goes to the head of pending, and is claimed first.
        best, next_best = (message(number, opts='{"p":5}') for number in (16, 17))
        by_hand.redis.zadd(by_hand.key("prioritized"), {best: 1, next_best: 2})
        by_hand.numbers |= {16, 17}
        assert scripts.exchange("a", 1).claimed == [best]
        # A cancelled task is named, and its end forgets the cancel.
        by_hand.redis.zadd(by_hand.key("cancelled"), {held[5][13:49]: 1, best[13:49]: 1})
        assert scripts.exchange("a").cancelled is not None
        by_hand.redis.delete(by_hand.key("cancelled"))
        by_hand.block("a")
        assert scripts.open("b", ["a"], [field(held[5])]) == [field(held[5])]
        scripts.open("", ["b"])


def scheduler_tour(server: EmbeddedRedis, by_hand: Sent) -> None:
    """Every branch of the scheduler's scripts, its plain commands, and its metrics."""
    admin = by_hand.redis
    admin.script_flush()
    client = RedisClient(Settings(url(server, "scheduler"), namespace=by_hand.namespace), 5.0)

    def call(name: str, *arguments: Any, **who: Any) -> Any:
        return client.call(ScriptCall(name, "q", arguments, **who))

    client.command("SADD", by_hand.key("queues"), "q")
    assert client.command("SMEMBERS", by_hand.key("queues"))
    call("sweep", GAP, LEASE, 100)
    # As if the clock had run backwards.
    by_hand.claim("c", *(message(number) for number in range(2)))
    admin.zadd(by_hand.key("consumers"), {"c": by_hand.now() + 10 * LEASE})
    admin.hset(by_hand.key("sweep"), mapping={"last": by_hand.now() + DAY})
    call("sweep", GAP, LEASE, 100)
    by_hand.enqueue(b"malformed", message(2))
    by_hand.block("c")
    by_hand.block("c")
    by_hand.be_swept()
    by_hand.end_lease("c")
    assert len(call("bury", "c", GAP, 100, 0, consumer="c")) == 7
    first, second, _ = (message(number) for number in range(3))
    moves = (field(first), b"home", message(0, deliveries=1), b"")
    dead = (field(second), b"dead", message(1, deliveries=3), REASON)
    assert call("move", *moves, *dead, consumer="c") == [1, 1]
    by_hand.redis.lpush(by_hand.key("inbox", "c"), message(3), message(6, opts='{"p":5}'))
    assert call("reclaim", "c", DAY, consumer="c") == 2
    by_hand.numbers.discard(2)
    admin.delete(*by_hand.keys_of("c"))
    client.command("EXISTS", *by_hand.keys_of("c"))
    admin.zadd(by_hand.key("consumers"), {"c": -1})
    call("reclaim", "c", 0, consumer="c")
    admin.zadd(by_hand.key("delayed"), {message(4): 1, message(5): by_hand.now() + DAY})
    assert call("promote", 100)[0] == 1
    assert call("tick", 0, 0, "", "", "", "", 1, "entry", "digest")[2] == [b"entry", b""]
    client.command("SCAN", 0)
    client.command("ZSCORE", by_hand.key("consumers"), "x")
    call("open", "", 0, "", 1, "x", ended="x")
    by_hand.numbers.discard(1)
    # A cancel of a task that no key has is forgotten.
    admin.zadd(by_hand.key("cancelled"), {"stale": 1})
    assert call("trim_dead", 0, DAY, 100) >= 1
    assert not admin.exists(by_hand.key("cancelled"))
    client.command("TIME")
    for kind, command in {"pending": "LLEN", "dead": "ZCARD", "delayed": "ZCARD"}.items():
        client.command(command, by_hand.key(kind))
    client.command("ZRANGEBYSCORE", by_hand.key("consumers"), 0, "+inf")
    client.command("HLEN", by_hand.key("claimed", "x"))
    client.close()


Tour = Callable[[EmbeddedRedis, Sent], None]
TOURS: dict[str, Tour] = {
    "client": client_tour,
    "client-options": client_options_tour,
    "worker": worker_tour,
    "scheduler": scheduler_tour,
}
EVERY_ROLE = pytest.mark.parametrize("role", acl.ROLES)


def is_about_rights(error: BaseException) -> bool:
    while not isinstance(error, NoPermissionError | BrokerError):
        if isinstance(error, ResponseError) and "The user executing the script" in str(error):
            return True
        if isinstance(error, ResponseError) and "ACL failure in script" in str(error):
            return True
        if error.__cause__ is None:
            return False
        error = error.__cause__
    return True


@EVERY_ROLE
def test_without_any_one_of_its_commands_a_role_can_not_do_its_work(
    role: str, server: EmbeddedRedis, admin: Any, rules: dict[str, list[str]]
) -> None:
    TOURS[role](server, Sent(admin))
    assert acl.refused(admin) == []
    needless = []
    causes: dict[str, Exception] = {}
    lost: dict[str, set[int]] = {}
    for command in sorted(acl.commands(rules[role])):
        acl.create(admin, role, acl.without(rules[role], command))
        admin.flushall()
        sent = Sent(admin)
        try:
            TOURS[role](server, sent)
        except (RedisError, BrokerError, BrokerNotReady) as error:
            causes[command] = error
        else:
            needless.append(command)
        lost[command] = sent.lost()
    assert needless == []
    assert [c for c, error in causes.items() if not is_about_rights(error)] == [], causes
    assert {command: ids for command, ids in lost.items() if ids} == {}


def denied(admin: Any, role: str, command: str, name: str) -> bool:
    """Whether Redis would refuse the role this command with the key `name`."""
    words = command.split("|")
    found = admin.execute_command("COMMAND", "INFO", words[0])[words[0]]
    if words[0] in ("eval", "evalsha"):
        arguments = ["x", "1", name]
    elif found["first_key_pos"] == 0:
        return True  # it takes no keys
    else:
        arguments = [name] * (abs(found["arity"]) - 1)
    answer = admin.acl_dryrun(f"fluxqueue-{role}", words[0], *arguments)
    assert answer in (b"OK", "OK") or b"key" in answer, answer
    return answer not in (b"OK", "OK")


@EVERY_ROLE
def test_the_users_of_a_namespace_work_in_it_and_nowhere_else(
    role: str, server: EmbeddedRedis, admin: Any, rules: dict[str, list[str]]
) -> None:
    if acl.version_of(admin) != "7":
        pytest.skip("this server has no ACL DRYRUN")
    namespace, own = acl.in_namespace(rules[role])
    others = ("", namespace[:-1], f"{namespace}.eu")
    for user, works_in, not_in in [(own, namespace, others), (rules[role], "", (namespace,))]:
        acl.create(admin, role, user)
        granted = acl.commands(user)
        for other in not_in:
            names = [key(kind, "q", "c", other) for kind in key_kinds()]
            allowed = [(c, n) for c in granted for n in names if not denied(admin, role, c, n)]
            assert allowed == []
        name = key("pending", "q", namespace=works_in)
        assert not denied(admin, role, "lpush" if role.startswith("client") else "rpop", name)
        admin.flushall()
        TOURS[role](server, Sent(admin, works_in))
        assert acl.refused(admin) == []


FORBIDDEN = {
    "all": [
        *("FLUSHALL", "FLUSHDB", "KEYS *", "RANDOMKEY", "DBSIZE", "INFO", "MONITOR", "SAVE"),
        *("CONFIG GET *", "CONFIG SET dir /tmp", "ACL LIST", "ACL WHOAMI", "SCRIPT FLUSH"),
        *("CLIENT LIST", "CLIENT KILL ID 1", "SHUTDOWN NOSAVE", "BGSAVE"),
        *("REPLICAOF 127.0.0.1 1", "FUNCTION LIST", "PUBLISH c m", "SUBSCRIBE c", "MULTI"),
        *("GET foreign", "SET foreign 1", "DEL foreign", "DUMP foreign", "RENAME foreign f"),
        *("LPUSH foreign 1", "LPUSH fluxqueue 1", "LPUSH fluxqueue:{q 1", "HSET foreign a 1"),
        *("OBJECT FREQ fluxqueue:{q}:pending", "MIGRATE 127.0.0.1 1 foreign 0 1"),
        *(
            "SET fluxqueue:{q}:pending 1",
            "EXPIRE fluxqueue:{q}:pending 1",
            "SREM fluxqueue:queues q",
        ),
    ],
    "client": [
        *("LRANGE fluxqueue:{q}:pending 0 -1", "RPOP fluxqueue:{q}:pending"),
        *("LLEN fluxqueue:{q}:pending", "DEL fluxqueue:{q}:pending", "TIME", "SCAN 0"),
        *("LPUSH fluxqueue:{q}:suspects 1", "LPUSH fluxqueue:{q}:inbox:c 1"),
        *("SMEMBERS fluxqueue:queues", "SADD fluxqueue:queues x", "LPUSH fluxqueue:queues 1"),
        *("HGETALL fluxqueue:{q}:dead:messages", "EVAL return 0", "SCRIPT LOAD return"),
    ],
    "client-options": [
        *("LRANGE fluxqueue:{q}:pending 0 -1", "RPOP fluxqueue:{q}:pending", "SCAN 0"),
        *("ZRANGE fluxqueue:{q}:delayed 0 -1", "ZREM fluxqueue:{q}:delayed a", "LLEN foreign"),
        *("LPUSH fluxqueue:{q}:suspects 1", "ZADD fluxqueue:{q}:dead 1 a", "ZADD foreign 1 a"),
        *("SADD fluxqueue:queues x", "SCRIPT LOAD return", "HGETALL fluxqueue:{q}:dead:messages"),
    ],
    "worker": [
        *("SMEMBERS fluxqueue:queues", "SCAN 0", "SCRIPT LOAD return"),
        *("LPUSH fluxqueue:{q}:pending 1", "ZREM foreign a", "SADD foreign x"),
        *(
            "RPOP foreign",
            "BLMOVE fluxqueue:{q}:pending foreign LEFT RIGHT 1",
            "LRANGE foreign 0 -1",
        ),
        "BLMOVE foreign fluxqueue:{q}:pending LEFT RIGHT 1",
    ],
    # Of Redis 7 alone: 6.2 has one set of commands for all keys.
    "worker 7": ["DEL fluxqueue:queues", "SADD fluxqueue:{q}:pending x"],
    "scheduler": [
        *("BLMOVE fluxqueue:{q}:pending fluxqueue:{q}:inbox:c LEFT RIGHT 1", "EVAL return 0"),
        *("LRANGE foreign 0 -1", "DEL fluxqueue:{q}:pending", "CLIENT ID"),
        *("SMEMBERS foreign", "RPOP foreign", "HVALS fluxqueue:{q}:claimed:c", "TYPE foreign"),
    ],
}


@EVERY_ROLE
def test_commands_that_a_role_does_not_need_are_refused(
    role: str, server: EmbeddedRedis, admin: Any, rules: dict[str, list[str]]
) -> None:
    admin.set("foreign", "somebody's")
    admin.lpush(key("pending", "q"), message(1))
    before = {name: admin.dump(name) for name in admin.scan_iter()}
    allowed = []
    is_new = any("(" in rule for of_role in rules.values() for rule in of_role)
    lines = FORBIDDEN["all"] + FORBIDDEN[role] + (FORBIDDEN.get(f"{role} 7", []) if is_new else [])
    for line in lines:
        with Redis.from_url(url(server, role), protocol=2) as user:
            try:
                user.execute_command(*line.split())
            except NoPermissionError:
                continue
            except ResponseError as error:
                if "unknown command" in str(error).lower():
                    continue  # of a later version
                allowed.append(f"{line}: {error}")
            else:
                allowed.append(line)
    assert allowed == []
    assert {name: admin.dump(name) for name in admin.scan_iter()} == before


def test_a_script_of_the_workers_own_reaches_no_other_key(
    server: EmbeddedRedis, admin: Any, rules: dict[str, list[str]]
) -> None:
    admin.rpush("foreign", "somebody's")
    with Redis.from_url(url(server, "worker"), protocol=2) as user:
        for text, keys in [
            ("return redis.call('LRANGE', 'foreign', 0, -1)", []),
            ("return redis.call('LRANGE', KEYS[1], 0, -1)", ["foreign"]),
            ("return redis.call('FLUSHALL')", []),
            ("return redis.call('GET', KEYS[1])", ["fluxqueue:{q}:pending"]),
        ]:
            with pytest.raises(ResponseError) as caught:
                user.eval(text, len(keys), *keys)
            assert is_about_rights(caught.value), text
    assert admin.lrange("foreign", 0, -1) == [b"somebody's"]


def test_a_client_of_one_queue_reaches_no_other(
    server: EmbeddedRedis, admin: Any, rules: dict[str, list[str]]
) -> None:
    acl.create(admin, "client", [rule.replace("{*}", "{mails}") for rule in rules["client"]])
    app = FluxQueue(url(server, "client"))

    @app.task(queue="mails")
    def mail() -> None: ...

    @app.task(queue="orders")
    def order() -> None: ...

    mail()
    with pytest.raises(BrokerError, match=r"NOPERM.*docs/security\.md.*not enqueued"):
        order()
    assert admin.llen(key("pending", "mails")) == 1
    assert not admin.exists(key("pending", "orders"))


APP = """
@fluxqueue.task()
def work(number):
    note(number)
"""


@pytest.mark.parametrize("command", ["hmget", "blmove", "sadd"])
def test_a_worker_names_what_was_refused_once_and_goes_on_when_it_has_the_right(
    command: str, server: EmbeddedRedis, admin: Any, rules: dict[str, list[str]], tmp_path: Any
) -> None:
    acl.create(admin, "worker", acl.without(rules["worker"], command))
    admin.config_resetstat()
    admin.lpush(key("pending", "default"), message(1, name="work", args=b"[1]"))
    event = "worker.not_registered" if command == "sadd" else "worker.disconnected"
    with WorkerProcess(tmp_path, url(server, "worker"), APP) as worker:
        line = worker.wait_for(event)
        named = "the script exchange" if command == "hmget" else f"'{command}'"
        assert named in line["error"] and "docs/security.md" in line["error"]
        acl.create(admin, "worker", rules["worker"])
        wait_until(lambda: worker.notes() == ["1"], what=worker.output)
        admin.lpush(key("pending", "default"), message(2, name="work", args=b"[2]"))
        wait_until(lambda: worker.notes() == ["1", "2"], what=worker.output)
        # Without a pause it would ask some twenty times a second. INFO is refused too, and by
        # Redis 6.2 the first form of each script.
        assert len(worker.named(event)) <= 2
        asked = admin.info("commandstats")
        refused = sum(int(of["rejected_calls"]) + int(of["failed_calls"]) for of in asked.values())
        assert refused <= 8, asked
        assert worker.stop() == 0
