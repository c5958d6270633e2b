"""The schedule of `rq cron`: one job, each second."""

from __future__ import annotations

from rq import cron
from tasks import count_stock

cron.register(count_stock, queue_name="default", interval=1)
