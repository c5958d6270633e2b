"""The names of the queues, for an event loop."""

from __future__ import annotations

from fluxqueue_control import registry as sync

from .twins import twin

read_names = twin(sync.read_names)
register = twin(sync.register)
