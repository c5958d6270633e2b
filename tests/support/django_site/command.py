"""`python -m support.django_site.command --concurrency 2`: the command `fluxqueue_worker`."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "support.django_site.settings")
    execute_from_command_line(["manage.py", "fluxqueue_worker", *sys.argv[1:]])
