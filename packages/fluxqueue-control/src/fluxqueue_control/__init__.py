"""The control plane: what the scheduler and other tools read and change in Redis.

Nothing is imported here: each module is imported by name, and only where it is used.
"""

from __future__ import annotations

from fluxqueue_core import __version__

__all__ = ["__version__"]
