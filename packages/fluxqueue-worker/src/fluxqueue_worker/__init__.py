"""The worker of FluxQueue: runs the tasks that applications enqueue."""

from fluxqueue_core import __version__

__all__ = ["__version__"]
