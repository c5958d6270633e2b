"""The scheduler: moves due tasks, rescues the tasks of lost workers, trims."""

from __future__ import annotations

from fluxqueue_core import __version__

__all__ = ["__version__"]
