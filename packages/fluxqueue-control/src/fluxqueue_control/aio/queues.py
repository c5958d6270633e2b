"""How many tasks a queue has, for an event loop."""

from __future__ import annotations

from fluxqueue_control import queues as sync

from .twins import twin

read_lengths = twin(sync.read_lengths)
