"""The application that is measured, with the SDK of `sdk`."""

from __future__ import annotations

from . import sdk
from .async_tasks import async_noop
from .tasks import fluxqueue, noop

__all__ = ["async_noop", "fluxqueue", "noop"]

sdk.set_up()
