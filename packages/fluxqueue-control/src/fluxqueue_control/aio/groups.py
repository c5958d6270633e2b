"""The dead set grouped by what went wrong, for an event loop."""

from __future__ import annotations

from fluxqueue_control import groups as sync

from .twins import iterating_twin, twin

read_page = twin(sync.read_page)
add_new = twin(sync.add_new)
count_ungrouped = twin(sync.count_ungrouped)
is_complete = twin(sync.is_complete)
scan = iterating_twin(sync.scan)
