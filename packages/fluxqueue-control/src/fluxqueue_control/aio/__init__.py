"""The control plane for event loops: a coroutine for each function of `fluxqueue_control`.

The modules have the names of the sync ones. `await aio.dead.read_page(client, queue)` does what
`dead.read_page(client, queue)` does, in a thread; an iterator becomes an async iterator.
`aio.servers.Servers` finds the clients.

A call that is cancelled may still do its work: its thread goes on.

Why: docs/decisions/0183-coroutines-run-the-sync-functions-in-threads.md
"""

from __future__ import annotations
