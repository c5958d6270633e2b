"""Deletes tasks that were found before, for an event loop."""

from __future__ import annotations

from fluxqueue_control import deleting as sync

from .twins import twin

delete_waiting = twin(sync.delete_waiting)
delete_dead = twin(sync.delete_dead)
