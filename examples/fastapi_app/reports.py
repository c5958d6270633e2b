"""The tasks of the example."""

from __future__ import annotations

import time

from fluxqueue import Context, FluxQueue

queue = FluxQueue()  # FLUXQUEUE_REDIS_URL, else redis://127.0.0.1:6379


@queue.task_with_context(result_ttl=3600)
def write_report(ctx: Context, title: str, pages: int) -> str:
    """Writes a page each 50 ms, and reports how far it is."""
    for page in range(pages):
        time.sleep(0.05)
        ctx.progress(page + 1, pages, f"page {page + 1}")
    return f"{title}, {pages} pages"
