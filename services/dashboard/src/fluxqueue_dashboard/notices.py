"""The words of a page after a change. An address has only the key, so no link can add words."""

from __future__ import annotations

# Each key with its kind (good: it is done; bad: it is not) and its words.
NOTICES: dict[str, tuple[str, str]] = {
    "paused": ("good", "The queue is paused. Workers finish what they have."),
    "resumed": ("good", "The queue is resumed."),
    "purged": ("good", "Removed {count} tasks."),
    "purge-goes-on": ("bad", "Removed {count} tasks so far. There are more: purge again."),
    "deleted": ("good", "The task is deleted."),
    "deleted-dead": ("good", "Deleted {count} dead tasks."),
    "moved": ("good", "The task runs as soon as a worker is free."),
    "not_delayed": ("bad", "The task does not wait for its time any more."),
    "running": ("bad", "A worker has the task. Cancel it instead."),
    "absent": ("bad", "The queue does not have it any more."),
    "cancelled": ("good", "The task is cancelled: it will not begin."),
    "requested": ("good", "The cancel is noted: the worker that has the task ends it."),
    "already_done": ("bad", "The queue does not have the task: it has ended."),
    "requeued": ("good", "{count} tasks wait for a worker again."),
    "held": ("bad", "Another task has the lock of this unique task."),
    "expired": ("bad", "The expiry of the task has passed."),
    "duplicate": ("bad", "A task with this id was in the queue when it was parked."),
    "unreadable": ("bad", "The message is missing or can't be read."),
    "none-chosen": ("bad", "Choose at least one task."),
    "periodic-paused": ("good", "The periodic task is paused."),
    "periodic-resumed": ("good", "The periodic task is resumed."),
    "periodic-run": ("good", "A run is in the queue."),
    "periodic-busy": ("bad", "Its last run has not ended, and its runs may not overlap."),
    "periodic-removed": ("good", "The periodic task is removed."),
    "periodic-declared": ("bad", "A worker's code declares it. Pause it instead."),
    "limit-set": ("good", "The limit is changed, also for the tasks that wait."),
    "limit-cleared": ("good", "What the code says counts again."),
    "limit-wrong": ("bad", "That is not a limit. A rate is such as 25/s, 100/m or 10/30s."),
}
