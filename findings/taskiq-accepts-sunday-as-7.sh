#!/usr/bin/env bash
# taskiq accepts a cron line for Sunday written as 7, and never runs it.
#
# You would expect: `0 0 * * 7` means Sunday at midnight, as in cron of Debian and
# of the BSDs. A library that does not know 7 would refuse the line, as celery does.
#
# Instead: taskiq 0.13 asks pycron 3.3 each minute whether the line is due. pycron
# compares 7 with a number from 0 to 6, and answers no without an error. `6-7` runs on
# Saturday only. A name (`SUN`) or 0 works.
#
# Source: the `is_now` function of pycron, and `is_cron_task_now` of
# taskiq.cli.scheduler.run, which calls it. crontab(5) of Debian: "0 or 7 is Sunday".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --disable-pip-version-check --quiet install \
    taskiq==0.13.0 pycron==3.3.0
cat >"$folder/ask.py" <<'END'
import datetime
import importlib.metadata
import sys

from taskiq.cli.scheduler.run import is_cron_task_now

FIRST = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)  # a Monday


def runs(line):
    """The weekdays of one week on which taskiq runs the line."""
    days = (FIRST + datetime.timedelta(days=day) for day in range(7))
    return [f"{day:%a}" for day in days if is_cron_task_now(line, day)]


for package in ("taskiq", "pycron"):
    print(package, importlib.metadata.version(package))
found = {line: runs(line) for line in ("0 0 * * 0", "0 0 * * SUN", "0 0 * * 7", "0 0 * * 6-7")}
for line, days in found.items():
    print(f"{line:12} runs on: {', '.join(days) or 'no day'}")
sys.exit(list(found.values()) != [["Sun"], ["Sun"], [], ["Sat"]])
END
"$folder/venv/bin/python" "$folder/ask.py" || {
    echo 'not as described above any more' >&2
    exit 1
}
