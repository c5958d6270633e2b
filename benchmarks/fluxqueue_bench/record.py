"""The record of fixed size that a task leaves behind."""

from __future__ import annotations

import struct

RECORD = struct.Struct("<qqq")  # number (or send time in ns), end in ns, process
