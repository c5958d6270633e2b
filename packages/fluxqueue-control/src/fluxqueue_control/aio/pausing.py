"""Pauses queues and resumes them, for an event loop."""

from __future__ import annotations

from fluxqueue_control import pausing as sync

from .twins import twin

pause = twin(sync.pause)
resume = twin(sync.resume)
read_paused = twin(sync.read_paused)
