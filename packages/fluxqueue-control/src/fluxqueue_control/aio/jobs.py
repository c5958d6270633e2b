"""Jobs, which change all tasks that a selection chooses, for an event loop."""

from __future__ import annotations

from fluxqueue_control import jobs as sync

from .twins import iterating_twin, twin

read_last = twin(sync.read_last)
read_last_of = twin(sync.read_last_of)
show = twin(sync.show)
start = twin(sync.start)
stop = twin(sync.stop)
resume = iterating_twin(sync.resume)
run = iterating_twin(sync.run)
