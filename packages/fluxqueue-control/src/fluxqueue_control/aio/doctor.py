"""Examines an installation, for an event loop."""

from __future__ import annotations

from fluxqueue_control import doctor as sync

from .twins import iterating_twin

examine = iterating_twin(sync.examine)
