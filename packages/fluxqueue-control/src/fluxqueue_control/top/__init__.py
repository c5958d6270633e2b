"""`fluxqueue top`: queues and workers in a terminal, as they change."""
