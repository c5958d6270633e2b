"""Receivers of the signals of tasks, which write down what they hear."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.apps import AppConfig
from fluxqueue.django.framework import TaskResult, task_enqueued, task_finished, task_started


def note(text: str) -> None:
    """Writes a line into the file that NOTES names."""
    if (name := os.environ.get("NOTES")) is not None:
        with open(name, "a") as file:
            file.write(f"{text}\n")


def hear(signal: str) -> Any:
    """Returns a receiver."""

    def receiver(sender: type, task_result: TaskResult, **others: Any) -> None:
        handled = sys.exc_info()[0]
        words = [signal, sender.__name__, task_result.status, task_result.task.name]
        note(" ".join([*words, handled.__name__ if handled else "-", task_result.id]))

    return receiver


def raise_always(sender: type, **others: Any) -> None:
    """A receiver with a fault, which no task feels."""
    raise RuntimeError("a receiver with a fault")


RECEIVERS = {
    signal: hear(name)
    for name, signal in (
        ("enqueued", task_enqueued),
        ("started", task_started),
        ("finished", task_finished),
    )
}


class ParcelsConfig(AppConfig):
    """The application."""

    name = "support.django_site.parcels"
    label = "parcels"

    def ready(self) -> None:
        """Connects the receivers."""
        for signal, receiver in RECEIVERS.items():
            signal.connect(receiver, weak=False)
        if "NOTES" in os.environ:
            for signal in (task_started, task_finished):
                signal.connect(raise_always, weak=False)
