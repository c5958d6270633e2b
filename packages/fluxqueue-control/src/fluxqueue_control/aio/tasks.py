"""One task by its id, for an event loop."""

from __future__ import annotations

from fluxqueue_control import tasks as sync

from .twins import twin

find = twin(sync.find)
delete = twin(sync.delete)
run_now = twin(sync.run_now)
move = twin(sync.move)
