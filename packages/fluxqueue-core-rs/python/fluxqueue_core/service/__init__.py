"""What the long-running processes (worker, scheduler, dev) share."""
