"""Cancels a task by its id, for an event loop."""

from __future__ import annotations

from fluxqueue_control import cancelling as sync

from .twins import twin

cancel = twin(sync.cancel)
request = twin(sync.request)
