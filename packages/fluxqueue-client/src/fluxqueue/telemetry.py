"""Whether there is an OpenTelemetry SDK to tell of what is enqueued.

Asked for every call, since an application may set its SDK up at any time. So
the way to "no" is short: nothing here imports `opentelemetry`. Where the
application has not imported it either, there is no SDK.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tracing import Tracing

API = "opentelemetry.trace"
# The API's variable with the provider that was set; None before.
_PROVIDER = "_TRACER_PROVIDER"

modules = sys.modules
_known: tuple[object, Tracing | None] = (None, None)


def active() -> Tracing | None:
    """What records the calls, or None where no SDK is set up."""
    global _known
    provider = getattr(modules.get(API), _PROVIDER, None)
    if provider is None:
        return None
    known, tracing = _known
    if provider is not known:
        from .tracing import Tracing

        tracing = Tracing.of_process()
        _known = provider, tracing
    return tracing
