"""The libraries beside which FluxQueue is measured, each in an environment of its own."""
