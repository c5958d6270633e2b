"""The dashboard: queues, tasks and workers in a browser.

Nothing is imported here: an application that mounts it imports `fluxqueue_dashboard.app`.
"""

from __future__ import annotations

from fluxqueue_core import __version__

__all__ = ["__version__"]
