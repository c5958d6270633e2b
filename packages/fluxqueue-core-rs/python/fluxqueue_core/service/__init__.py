"""Code that the long-running processes (worker, scheduler, dev) share."""
