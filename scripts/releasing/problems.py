"""The error that stops a release."""

from __future__ import annotations


class NotReady(Exception):
    """The release can't go on. The text says why, and what to do."""
