#!/usr/bin/env bash
# A celery task that is due every 15 minutes rests for 75 minutes when clocks go back.
#
# You would expect: `crontab(minute="*/15")` runs every 15 minutes, whatever the
# time zone of the application.
#
# Instead: celery 5.7 with a time zone looks for the next reading of the local clock
# after the last run. In the second pass of the hour, all readings lie before the last
# run, so nothing is due until 03:00. In UTC the same entry runs every 15 minutes.
# cronsim and croniter run such a line in both passes.
#
# Source: `crontab.remaining_delta` and `ffwd` of celery.schedules and
# celery.utils.time. The night is that of 25 October 2026 in Berlin: 03:00 summer time
# (01:00 UTC) becomes 02:00.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --disable-pip-version-check --quiet install \
    celery==5.7.0 cronsim==2.8 tzdata==2026.3
cat >"$folder/ask.py" <<'END'
import datetime
import importlib.metadata
import sys
from zoneinfo import ZoneInfo

from celery import Celery
from celery.schedules import crontab
from cronsim import CronSim

START = datetime.datetime(2026, 10, 24, 23, 50, tzinfo=datetime.timezone.utc)
END = START + datetime.timedelta(hours=3)


def celery_runs(name):
    """Asks the entry each minute, as beat does, whether it is due."""
    zone, now = ZoneInfo(name), START
    app = Celery(set_as_current=False)
    app.conf.timezone = name
    entry = crontab(minute="*/15", app=app, nowfun=lambda: now.astimezone(zone))
    last, found = START, []
    while now < END:
        if entry.is_due(last).is_due:
            last = now
            found.append(now)
        now += datetime.timedelta(minutes=1)
    return found


def cronsim_runs(name):
    found = []
    for run in CronSim("*/15 * * * *", START.astimezone(ZoneInfo(name))):
        if run >= END:
            return found
        found.append(run.astimezone(datetime.timezone.utc))


def gaps(runs):
    pairs = zip(runs, runs[1:])
    return max(int((after - before).total_seconds()) // 60 for before, after in pairs)


for package in ("celery", "cronsim"):
    print(package, importlib.metadata.version(package))
found = {}
for library, runs in (("celery", celery_runs), ("cronsim", cronsim_runs)):
    for name in ("Europe/Berlin", "UTC"):
        times = runs(name)
        found[library, name] = gaps(times)
        print(f"{library:7} {name:13} UTC {' '.join(f'{time:%H:%M}' for time in times)}")
        print(f"{'':21} longest rest: {found[library, name]} minutes")
sys.exit(list(found.values()) != [75, 15, 15, 15])
END
"$folder/venv/bin/python" "$folder/ask.py" || {
    echo 'not as described above any more' >&2
    exit 1
}
