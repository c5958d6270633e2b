"""Whether there is an OpenTelemetry SDK that records what is enqueued.

An application can set its SDK up at any time, so every call asks. The way to "no" is
short: nothing here imports `opentelemetry`, and without that import in the application
there is no SDK.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tracing import Tracing

API = "opentelemetry.trace"
# The name of the API's variable with the provider. It is None until one is set.
PROVIDER = "_TRACER_PROVIDER"

modules = sys.modules
_known: tuple[object, Tracing | None] = (None, None)


def active() -> Tracing | None:
    """Returns the middleware that records calls; None if no SDK is set up."""
    global _known
    provider = getattr(modules.get(API), PROVIDER, None)
    if provider is None:
        return None
    known, tracing = _known
    if provider is not known:
        from .tracing import Tracing

        tracing = Tracing.of_process()
        _known = provider, tracing
    return tracing
