"""Searches the tasks of a queue, for an event loop."""

from __future__ import annotations

from fluxqueue_control import search as sync

from .twins import iterating_twin, twin

search = iterating_twin(sync.search)
search_finished = twin(sync.search_finished)
