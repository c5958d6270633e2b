"""The worker of FluxQueue: runs the tasks that applications enqueue."""

from typing import TYPE_CHECKING, Any

__all__ = ["__version__"]

if TYPE_CHECKING:
    from fluxqueue_core import __version__


def __getattr__(name: str) -> Any:
    """Loads the core for its version alone when that is asked: pytest loads a plugin of this
    package in runs that need no core."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fluxqueue_core import __version__

    return __version__
