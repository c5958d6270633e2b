"""The queues of a shop at one moment, planted in Redis: everything that the dashboard shows."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from fluxqueue import FluxQueue
from fluxqueue_core import dead_reason, key
from fluxqueue_core.limits import limit_digest

from .planted_operations import (
    plant_changes,
    plant_finished,
    plant_locks,
    plant_numbers,
    plant_report,
)
from .scripts import Outcome, Scripts, field

HOUR = 3_600_000
# Text that a page must never take for HTML.
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/tasks/mails.py", line 42, in send_mail
    connection.send(message)
  File "/usr/lib/python3.13/smtplib.py", line 908, in send
    raise SMTPServerDisconnected("please run connect() first")
smtplib.SMTPServerDisconnected: please run connect() first
"""
DEATHS = (
    ("shop.send_mail", "failed", "SMTPServerDisconnected: please run connect() first"),
    ("shop.send_mail", "failed", "SMTPRecipientsRefused: 550 no such user"),
    ("shop.charge_card", "rejected", "Reject: the card has expired"),
    ("shop.render_report", "worker_lost", "3 workers were lost while they held the task"),
    ("shop.send_newsletter", "unknown_task", "no worker knows the task"),
    ("shop.import_feed", "arguments", "missing a required argument: 'source'"),
)


def task_id(age: float = 0.0) -> str:
    """Returns the id of a task that was enqueued `age` seconds ago."""
    ms = int((time.time() - age) * 1_000)
    value = ms << 80 | 7 << 76 | uuid.uuid4().int & (1 << 76) - 1
    return str(uuid.UUID(int=value & ~(3 << 62) | 2 << 62))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def message(
    name: str,
    args: Sequence[Any] = (),
    *,
    age: float = 0.0,
    retries: int = 0,
    deliveries: int = 0,
    kwargs: dict[str, Any] | None = None,
    traceparent: str | None = None,
    task: str | None = None,
) -> bytes:
    """Returns a message as a client writes it."""
    head = f'{{"v":1,"id":"{task or task_id(age)}"'
    if deliveries:
        head += f',"deliveries":{deliveries}'
    if retries:
        head += f',"retries":{retries}'
    head += f',"name":{json.dumps(name)},"args":{_compact(list(args))}'
    if kwargs is not None:
        head += f',"kwargs":{_compact(kwargs)}'
    if traceparent is not None:
        head += f',"headers":{{"traceparent":"{traceparent}"}}'
    return (head + "}").encode()


def id_of(of: bytes) -> str:
    """Returns the id of a message."""
    return of[13:49].decode()


class PlantedShop:
    """Fills an empty database.

    Attributes:
        dead: messages of the queue `mails` that are dead, the youngest first.
        running, waiting, delayed: one message each, of the queue `mails`.
        finished: ids of tasks of the queue `images` whose outcomes are kept, the youngest first.
    """

    def __init__(self, redis: Any, redis_url: str) -> None:
        self.redis = redis
        self.app = FluxQueue(redis_url)
        redis.sadd(key("queues"), "mails", "reports", "images", "imports", "payments")
        self._plant_mails()
        self._plant_others()
        self._plant_finished()
        self._plant_periodic_tasks()
        self._plant_limits()
        plant_locks(self.app)
        plant_changes(redis_url)
        self._plant_numbers()

    def close(self) -> None:
        """Closes the client."""
        self.app.close()

    def _worker(self, queue: str, host: str, pid: int, *running: bytes, slots: int = 8) -> Scripts:
        scripts, consumer = Scripts(self.redis, queue), f"{host}-{pid}-{queue}"
        who = {"host": host, "pid": pid, "version": "0.2.0", "slots": slots, "queues": [queue]}
        scripts.open(consumer, lease=HOUR, who=json.dumps(who))
        scripts.claim(consumer, *running, lease=HOUR)
        return scripts

    def _plant_mails(self) -> None:
        traced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        self.running = message("shop.send_mail", ["ada@example.com"], age=4, traceparent=traced)
        mails = self._worker("mails", "web-1", 4711, self.running)
        self._worker("mails", "web-2", 811, message("shop.send_mail", ["bob@example.com"]))
        self.dead: list[bytes] = []
        for number, (name, reason, error) in enumerate(DEATHS):
            details = {"order": 1_000 + number, "locale": "en"}
            dying = message(name, [f"customer-{number}"], age=7_200, retries=2, kwargs=details)
            self._bury(mails, dying, reason, error, TRACEBACK if reason == "failed" else None)
        self._bury(mails, message(HOSTILE, [HOSTILE]), "failed", HOSTILE, HOSTILE)
        self.waiting = message("shop.send_mail", ["grace@example.com"], age=95)
        rest = [message("shop.send_mail", [f"user-{n}@example.com"], age=60) for n in range(126)]
        mails.enqueue(*rest, self.waiting)
        self.delayed = message("shop.send_mail", ["edsger@example.com"], age=300, retries=1)
        due = mails.now() + 540_000
        self.redis.zadd(mails.key("delayed"), {self.delayed: due})

    def _bury(
        self, scripts: Scripts, dying: bytes, reason: str, error: str, traceback: str | None
    ) -> None:
        consumer = "web-1-4711-mails"
        scripts.claim(consumer, dying, lease=HOUR)
        why = dead_reason(reason, error, traceback)
        scripts.exchange(consumer, outcomes=[Outcome(field(dying), "dead", why, "1")], lease=HOUR)
        self.dead.insert(0, dying)

    def _plant_others(self) -> None:
        reports = self._worker(
            "reports", "batch-1", 90, message("shop.render_report", [2026, 11], age=41), slots=2
        )
        reports.enqueue(*[message("shop.render_report", [2026, n]) for n in range(1, 6)])
        self._worker("images", "web-1", 4711)
        self._worker("images", "gpu-1", 17, slots=1)
        imports = Scripts(self.redis, "imports")
        imports.enqueue(*[message("shop.import_feed", [n], age=900) for n in range(38)])
        self._worker("payments", "web-2", 811)
        Scripts(self.redis, "payments").enqueue(message("shop.charge_card", [4_242]))

    def _plant_finished(self) -> None:
        outcomes = {
            task_id(70): ("shop.resize", "succeeded", ""),
            task_id(130): ("shop.resize", "failed", "'thumbnail'"),
            task_id(190): ("shop.clean_cache", "succeeded", ""),
            task_id(250): (HOSTILE, "expired", HOSTILE),
        }
        plant_finished(self.redis, "images", outcomes)
        self.finished = list(outcomes)

    def _plant_numbers(self) -> None:
        mails = {"shop.send_mail": (118, 3, 0.18), "shop.send_newsletter": (9, 0, 2.6)}
        plant_numbers(self.redis, "mails", mails)
        plant_numbers(self.redis, "reports", {"shop.render_report": (2, 0, 31.0)})
        plant_numbers(self.redis, "images", {"shop.resize": (402, 0, 0.031)})
        running = {id_of(self.running): ("shop.send_mail", 4.0)}
        plant_report(self.redis, "mails", "web-1-4711-mails", 96 << 20, running)
        plant_report(self.redis, "mails", "web-2-811-mails", 88 << 20, {})
        report = {task_id(41): ("shop.render_report", 41.0)}
        plant_report(self.redis, "reports", "batch-1-90-reports", 640 << 20, report)

    def _plant_periodic_tasks(self) -> None:
        report = self.app.task(name="shop.render_report", queue="reports")(lambda: None)
        self.app.schedule("nightly-report", report.call(), "0 3 * * *", tz="Europe/Berlin")
        clean = self.app.task(name="shop.clean_cache", queue="images")(lambda: None)
        self.app.schedule("clean-cache", clean.call(), every=300)
        now = Scripts(self.redis, "images").now()
        runs = (
            f"{now - 900_000}:0:s {now - 600_000}:1250:r {now - 450_000}:0:h {now - 300_000}:40:r"
        )
        self.redis.hset(key("periodic:runs", "images"), "clean-cache", runs)
        for queue in ("reports", "images"):
            soon = Scripts(self.redis, queue).now() + 200_000
            for entry in self.redis.hkeys(key("periodic", queue)):
                self.redis.zadd(key("periodic:due", queue), {entry: soon})

    def _plant_limits(self) -> None:
        charge = self.app.task(
            name="shop.charge_card", queue="payments", concurrency=1, limit_key="customer"
        )(lambda customer: None)
        charge.enqueue_many([("acme",), ("acme",), ("acme",), ("globex",)])
        rule = b"2:600000:5 stripe"
        declare = [b"declare", b"300000", limit_digest("stripe").encode(), rule]
        self.app.broker.producer.limit_rules("payments", declare)

    def job(self, queue: str) -> str:
        """Returns the id of the last job of a queue."""
        [found] = self.redis.zrevrange(key("jobs", queue), 0, 0)
        return str(found.decode())

    def addresses(self) -> dict[str, str]:
        """Returns every page of the dashboard, by the name of its picture."""
        dead = f"/dead/task?queue=mails&entry={field(self.dead[6]).hex()}"
        return {
            "overview": "/",
            "queue": "/queue?name=mails",
            "dead": "/dead?queue=mails",
            "dead-task": dead,
            "task": f"/task?queue=mails&id={id_of(self.waiting)}",
            "running-task": f"/task?queue=mails&id={id_of(self.running)}",
            "workers": "/workers",
            "causes": "/dead/groups?queue=mails",
            "jobs": "/jobs",
            "job": f"/job?name=reports&id={self.job('reports')}",
            "strikes": "/strikes",
            "locks": "/locks?queue=imports",
            "audit": "/audit",
            "periodic": "/periodic",
            "periodic-task": "/periodic/task?queue=images&id=clean-cache",
            "limits": "/limits",
            "tasks": "/tasks?queue=mails&state=waiting",
            "delayed": "/tasks?queue=mails&state=delayed",
            "finished": "/tasks?queue=images&state=finished",
            "finished-task": f"/task?queue=images&id={self.finished[0]}",
            "search": "/search?q=task:shop.*+reason:failed",
            "no-match": "/search?q=019aa0c2-7b1f-7c3e-8d2a-0123456789ab",
        }
