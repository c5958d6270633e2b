"""The reports of workers, for an event loop."""

from __future__ import annotations

from fluxqueue_control import reports as sync

from .twins import twin

read = twin(sync.read)
