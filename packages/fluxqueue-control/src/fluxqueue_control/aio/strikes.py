"""Strikes, which stop tasks before they begin, for an event loop."""

from __future__ import annotations

from fluxqueue_control import strikes as sync

from .twins import twin

strike = twin(sync.strike)
lift = twin(sync.lift)
read_all = twin(sync.read_all)
read_of = twin(sync.read_of)
