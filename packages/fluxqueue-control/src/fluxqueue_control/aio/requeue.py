"""Enqueues dead tasks again, for an event loop."""

from __future__ import annotations

from fluxqueue_control import requeue as sync

from .twins import iterating_twin, twin

requeue = twin(sync.requeue)
replay = iterating_twin(sync.replay)
replay_each = iterating_twin(sync.replay_each)
