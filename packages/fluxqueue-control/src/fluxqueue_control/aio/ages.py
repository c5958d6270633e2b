"""The age of the oldest waiting tasks, for an event loop."""

from __future__ import annotations

from fluxqueue_control import ages as sync

from .twins import twin

read_oldest = twin(sync.read_oldest)
