"""The periodic tasks of a queue, for an event loop."""

from __future__ import annotations

from fluxqueue_control import periodic as sync

from .twins import iterating_twin, twin

read_page = twin(sync.read_page)
scan = iterating_twin(sync.scan)
show = twin(sync.show)
pause = twin(sync.pause)
resume = twin(sync.resume)
remove = twin(sync.remove)
run_now = twin(sync.run_now)
