"""Rates, waits and run times of tasks, for an event loop."""

from __future__ import annotations

from fluxqueue_control import stats as sync

from .twins import twin

watch = twin(sync.watch)
read = twin(sync.read)
read_totals = twin(sync.read_totals)
