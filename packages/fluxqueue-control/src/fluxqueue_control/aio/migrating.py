"""Moves the tasks of FluxQueue 0.3.2, for an event loop."""

from __future__ import annotations

from fluxqueue_control import migrating as sync

from .twins import iterating_twin, twin

old_queues = twin(sync.old_queues)
count = twin(sync.count)
migrate = iterating_twin(sync.migrate)
