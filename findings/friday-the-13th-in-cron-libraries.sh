#!/usr/bin/env bash
# The cron line `0 0 13 * 5` runs five days of a month in some queues, and none in others.
#
# You would expect: cron runs a line with a day of the month and a weekday if either
# fits: on the 13th and on each Friday. Libraries that read the same five fields agree.
#
# Instead: cronsim (docket), croniter (rq, saq) and pycron (taskiq) run it if either
# fits. celery, huey and crontab (streaq) run it only on a Friday the 13th, which the
# month below does not have. With a step, `0 0 */2 * 1`, croniter changes sides: cron of
# Debian, and all others here, take a field that begins with a star as no restriction,
# and run if both fit; croniter runs if either does.
#
# Source: crontab(5) of Debian, on "the day of a command's execution"; the six
# libraries, each asked for June 2026 (the 1st is a Monday).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --disable-pip-version-check --quiet install \
    celery==5.7.0 cronsim==2.8 croniter==7.0.0 crontab==1.0.5 huey==3.5.4 pycron==3.3.0
cat >"$folder/ask.py" <<'END'
import datetime
import importlib.metadata
import sys

import pycron
from celery import Celery
from celery.schedules import crontab as celery_crontab
from croniter import croniter
from cronsim import CronSim
from crontab import CronTab
from huey import crontab as huey_crontab

DAYS = [datetime.datetime(2026, 6, day) for day in range(1, 31)]
MINUTE = datetime.timedelta(minutes=1)


def following(step):
    """The days of a library that computes the next run from the one before."""

    def days(line):
        runs, at = [], DAYS[0] - MINUTE
        while (at := step(line, at)).month == 6:
            runs.append(at)
        return runs

    return days


def celery_days(line):
    fields = dict(zip(("minute", "hour", "day_of_month", "month_of_year", "day_of_week"), line.split()))
    app = Celery(set_as_current=False)

    def is_due(day):
        now = day.replace(tzinfo=datetime.timezone.utc)
        return celery_crontab(**fields, app=app, nowfun=lambda: now).is_due(now - MINUTE).is_due

    return [day for day in DAYS if is_due(day)]


def huey_days(line):
    minute, hour, day, month, weekday = line.split()
    fits = huey_crontab(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday)
    return [day for day in DAYS if fits(day)]


LIBRARIES = {
    "cronsim": following(lambda line, at: next(CronSim(line, at))),
    "croniter": following(lambda line, at: croniter(line, at).get_next(datetime.datetime)),
    "pycron": lambda line: [day for day in DAYS if pycron.is_now(line, day)],
    "crontab": following(
        lambda line, at: CronTab(line).next(at, return_datetime=True, default_utc=True)
    ),
    "celery": celery_days,
    "huey": huey_days,
}
EITHER, BOTH = [5, 12, 13, 19, 26], []
FOR_STEP = [1, 15, 29]
EXPECTED = {
    "cronsim": (EITHER, FOR_STEP),
    "croniter": (EITHER, sorted({*range(1, 31, 2), *range(1, 31, 7)})),
    "pycron": (EITHER, FOR_STEP),
    "crontab": (BOTH, FOR_STEP),
    "celery": (BOTH, FOR_STEP),
    "huey": (BOTH, FOR_STEP),
}
same = True
for name, days in LIBRARIES.items():
    found = tuple([day.day for day in days(line)] for line in ("0 0 13 * 5", "0 0 */2 * 1"))
    print(f"{name} {importlib.metadata.version(name)}")
    print(f"    0 0 13 * 5   {found[0] or 'no day'}")
    print(f"    0 0 */2 * 1  {found[1]}")
    same = same and found == EXPECTED[name]
sys.exit(not same)
END
"$folder/venv/bin/python" "$folder/ask.py" || {
    echo 'not as described above any more' >&2
    exit 1
}
