"""Why a task does not run, for an event loop."""

from __future__ import annotations

from fluxqueue_control import why as sync

from .twins import twin

explain = twin(sync.explain)
