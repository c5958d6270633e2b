"""The project's own measurements; `scripts/bench` runs them."""
