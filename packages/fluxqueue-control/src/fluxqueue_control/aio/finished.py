"""Tasks that have ended and whose outcome is kept, for an event loop."""

from __future__ import annotations

from fluxqueue_control import finished as sync

from .twins import twin

read_finished = twin(sync.read_finished)
show_finished = twin(sync.show_finished)
