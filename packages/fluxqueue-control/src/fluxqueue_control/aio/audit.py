"""The audit of a queue, for an event loop."""

from __future__ import annotations

from fluxqueue_control import audit as sync

from .twins import twin

read_page = twin(sync.read_page)
read_last = twin(sync.read_last)
