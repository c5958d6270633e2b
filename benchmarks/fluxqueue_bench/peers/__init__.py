"""The libraries that FluxQueue is compared with, each in a separate environment."""
