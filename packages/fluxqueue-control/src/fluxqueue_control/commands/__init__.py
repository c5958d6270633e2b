"""The commands of an operator. Each module is one command, and reads its own command line."""

from __future__ import annotations
