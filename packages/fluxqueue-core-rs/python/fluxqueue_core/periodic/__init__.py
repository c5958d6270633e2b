"""Periodic tasks: their moments, and the records of them that Redis keeps.

Clients and workers write records, schedulers read them. Imported only where there are
periodic tasks.
"""

from __future__ import annotations

# Seconds for which a periodic task stays that no worker declares any longer, and between two
# declarations of a worker.
GRACE = 300.0
DECLARE_INTERVAL = 30.0
