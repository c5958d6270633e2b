"""Moves tasks to another queue, for an event loop."""

from __future__ import annotations

from fluxqueue_control import moving as sync

from .twins import twin

check_target = twin(sync.check_target)
move_dead = twin(sync.move_dead)
move_waiting = twin(sync.move_waiting)
