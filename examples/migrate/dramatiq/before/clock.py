"""Dramatiq has no scheduler: this is the program that cron or APScheduler would be."""

from __future__ import annotations

import time

from tasks import count_stock

while True:
    count_stock.send()
    time.sleep(1)
