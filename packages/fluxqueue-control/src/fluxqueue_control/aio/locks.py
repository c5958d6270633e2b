"""The locks of unique tasks, for an event loop."""

from __future__ import annotations

from fluxqueue_control import locks as sync

from .twins import twin

read_page = twin(sync.read_page)
show = twin(sync.show)
