"""Dead tasks, for an event loop."""

from __future__ import annotations

from fluxqueue_control import dead as sync

from .twins import twin

read_page = twin(sync.read_page)
show = twin(sync.show)
entries_of = twin(sync.entries_of)
read_whole = twin(sync.read_whole)
read_entries = twin(sync.read_entries)
