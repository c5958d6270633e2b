"""How long a page looks for what it shows, in seconds, about. The next page goes on from there."""

from __future__ import annotations

# Tasks of one queue.
PAGE = 0.08
# Tasks of all queues: at first, and if a visitor looks further.
SEARCH, DEEP_SEARCH = 0.08, 3.0
# After this time a search looks through no further queue.
LAST_QUEUE = 3.0
# Dead tasks that are in no group yet.
GROUPS = 0.1
