"""The limits of a queue, for an event loop."""

from __future__ import annotations

from fluxqueue_control import limits as sync

from .twins import twin

read_limits = twin(sync.read_limits)
read_limit = twin(sync.read_limit)
read_key = twin(sync.read_key)
read_keys = twin(sync.read_keys)
override = twin(sync.override)
clear = twin(sync.clear)
