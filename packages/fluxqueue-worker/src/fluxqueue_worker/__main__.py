"""`python -m fluxqueue_worker`: the same as `fluxqueue-worker`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(prog="fluxqueue-worker"))
