"""Tasks of a queue by their state, for an event loop."""

from __future__ import annotations

from fluxqueue_control import listing as sync

from .twins import iterating_twin, twin

read_tasks = twin(sync.read_tasks)
read_all = iterating_twin(sync.read_all)
