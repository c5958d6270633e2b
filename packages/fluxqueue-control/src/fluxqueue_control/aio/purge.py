"""Removes all tasks of one part of a queue, for an event loop."""

from __future__ import annotations

from fluxqueue_control import purge as sync

from .twins import iterating_twin, twin

count = twin(sync.count)
purge = iterating_twin(sync.purge)
