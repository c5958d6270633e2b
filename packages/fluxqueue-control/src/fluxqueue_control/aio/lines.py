"""The lines in which tasks wait for their limit, for an event loop."""

from __future__ import annotations

from fluxqueue_control import lines as sync

from .twins import iterating_twin

lengths = iterating_twin(sync.lengths)
lines = iterating_twin(sync.lines)
