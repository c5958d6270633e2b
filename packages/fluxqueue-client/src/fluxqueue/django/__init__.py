"""FluxQueue as the backend of Django's Tasks framework, and a worker that knows Django.

TASKS = {"default": {"BACKEND": "fluxqueue.django.FluxQueueBackend"}}

docs/django.md has the settings. Import it in a Django project only: `fluxqueue` itself does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["CloseConnections", "FluxQueueBackend", "FluxTask", "client"]

if TYPE_CHECKING:
    from .backend import FluxQueueBackend as FluxQueueBackend
    from .backend import client as client
    from .connections import CloseConnections as CloseConnections
    from .flux_task import FluxTask as FluxTask
else:

    def __getattr__(name: str) -> Any:
        """Loads a name when it is used first: Django imports this package before its settings
        and its models are ready."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import backend, connections, flux_task

        homes = {"CloseConnections": connections, "FluxTask": flux_task}
        return getattr(homes.get(name, backend), name)
