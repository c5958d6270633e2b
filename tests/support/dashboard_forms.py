"""The forms of the dashboard: for each change one that makes it, in the planted shop."""

from __future__ import annotations

from fluxqueue_control.strikes import Strike

from .planted_shop import PlantedShop, id_of
from .scripts import field


def forms(shop: PlantedShop) -> dict[str, dict[str, str]]:
    """For each change a form that would make it."""
    waiting = {"queue": "mails", "id": id_of(shop.waiting)}
    delayed = {"queue": "mails", "id": id_of(shop.delayed)}
    dead = {"queue": "mails", "entry": field(shop.dead[2]).hex()}
    return {
        "pause": {"queue": "mails"},
        "resume": {"queue": "payments"},
        "delete-task": waiting,
        "run-now": delayed,
        "cancel": waiting,
        "requeue": dead,
        "delete-dead": {"queue": "mails", "entry": field(shop.dead[1]).hex()},
        "move-task": {"queue": "mails", "id": id_of(shop.dead[3]), "target": "images"},
        "move-dead": {"queue": "mails", "entry": field(shop.dead[4]).hex(), "target": "images"},
        "periodic-pause": {"queue": "images", "id": "clean-cache"},
        "periodic-resume": {"queue": "images", "id": "clean-cache"},
        "periodic-run": {"queue": "images", "id": "clean-cache"},
        "periodic-remove": {"queue": "images", "id": "clean-cache"},
        "limit-set": {"queue": "payments", "name": "stripe", "concurrency": "7", "rate": "1/s"},
        "limit-clear": {"queue": "payments", "name": "stripe"},
        "job-start": {"queue": "mails", "what": "delete dead", "run": "real"},
        "job-repeat": {"queue": "mails", "id": shop.job("mails")},
        "job-stop": {"queue": "reports", "id": shop.job("reports")},
        "job-resume": {"queue": "reports", "id": shop.job("reports")},
        "strike": {"queue": "mails", "task": "shop.send_mail", "argument": "0=x"},
        "lift": {"queue": "mails", "id": Strike("shop.send_newsletter").id},
        "purge": {"queue": "mails", "part": "waiting"},
    }
