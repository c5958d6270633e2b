"""How each of the shop's tasks must end, and what it must leave behind."""

from __future__ import annotations

import csv
import email
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fluxqueue_core import key
from follow import Followed, Follower
from payments import PaymentProvider
from redis import Redis

# task: how many, attempts, deliveries, end
EXPECTED = {
    "confirm_order": (2, 1, 0, "done"),
    "reserve_stock": (1, 1, 0, "done"),
    "charge_card": (1, 3, 0, "done"),
    "subscribe": (1, 3, 0, "dead"),
    "export_catalogue": (1, 1, 1, "done"),
}


@dataclass(frozen=True)
class Evidence:
    """The places where the tasks leave traces."""

    redis: Redis
    queue: str
    folder: Path
    provider: PaymentProvider


def unexpected(evidence: Evidence, follower: Follower) -> list[str]:
    """Everything that is not as it should be, one sentence each."""
    tasks = list(follower.tasks.values())
    return [*_ends(tasks), *_counters(evidence, tasks), *_effects(evidence)]


def _ends(tasks: list[Followed]) -> Iterator[str]:
    counts = Counter(task.name for task in tasks)
    for name in counts.keys() | EXPECTED.keys():
        wanted = EXPECTED.get(name, (0,))[0]
        if counts[name] != wanted:
            yield f"{counts[name]} tasks {name}, not {wanted}"
    for task in tasks:
        found = (task.attempts, task.deliveries, task.end)
        if task.name in EXPECTED and found != EXPECTED[task.name][1:]:
            yield f"{task.name}: (attempts, deliveries, end) is {found}"


def _counters(evidence: Evidence, tasks: list[Followed]) -> Iterator[str]:
    """The counters of the Lua scripts must match the follower's."""
    stats = evidence.redis.hgetall(key("stats", evidence.queue))
    seen = {
        "succeeded": sum(task.end == "done" for task in tasks),
        "retried": sum(task.retries for task in tasks),
        "rescued": sum(task.deliveries for task in tasks),
        "dead": sum(task.end == "dead" for task in tasks),
    }
    for name, count in seen.items():
        counted = int(stats.get(name.encode(), 0))
        if counted != count:
            yield f"Redis has counted {counted} {name}, seen were {count}"


def _effects(evidence: Evidence) -> Iterator[str]:
    folder, provider = evidence.folder, evidence.provider

    totals = {"1001": "23.10", "1002": "99.00"}
    for number, total in totals.items():
        mail = email.message_from_string(_read(folder / f"mail-{number}.eml"))
        if total not in str(mail.get_payload()).split():
            yield f"the mail for order {number} does not say {total}"

    stock = json.loads(_read(folder / "stock.json") or "{}")
    if stock != {"notebook": 3, "pencil": 12, "compiler": 1}:
        yield f"the stock reserved is {stock}"

    if provider.requests != 3 or list(provider.charges) != ["order-1001"]:
        yield f"{provider.requests} requests for payment, charged: {provider.charges}"
    if "23.1" not in _read(folder / "receipt-1001.json"):
        yield "there is no receipt for the payment"

    if list(folder.glob("subscriber-*")):
        yield "somebody without an address has subscribed"
    reasons = [json.loads(r) for r in evidence.redis.hvals(key("dead:reasons", evidence.queue))]
    if [reason["reason"] for reason in reasons] != ["failed"]:
        yield f"the reasons in the dead set are {reasons}"

    rows = list(csv.reader(_read(folder / "catalogue.csv").splitlines()))
    if [row[0] for row in rows] != [str(number) for number in range(20)]:
        yield f"the catalogue has the rows {rows}"
    workers = _read(folder / "export-workers").split()
    if len(workers) != 2 or len(set(workers)) != 2:
        yield f"the catalogue was begun by the workers {workers}, not by two"


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
