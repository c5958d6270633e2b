"""Builds, checks and tries a release of all packages, as docs/releasing.md describes it."""
