"""Which workers serve a queue, for an event loop."""

from __future__ import annotations

from fluxqueue_control import workers as sync

from .twins import iterating_twin, twin

read_page = twin(sync.read_page)
show = twin(sync.show)
scan = iterating_twin(sync.scan)
