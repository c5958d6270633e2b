"""What a task leaves behind: one record of fixed size."""

from __future__ import annotations

import struct

RECORD = struct.Struct("<qqq")  # number (or send time in ns), end in ns, process
