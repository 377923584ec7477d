"""Run Celery Beat: `python -m tasks.beat SCHEDULE_FILE`.

As `celery -A tasks.celery_app beat -s SCHEDULE_FILE --pidfile=` does, in half of its memory: the
command line of Celery loads a shell and the plug-ins of other programs with it.
"""

from __future__ import annotations

import sys

from settings import read_settings
from tasks.celery_app import app


def run(schedule_file: str) -> None:
    """Ask for the jobs of the timetable until a signal ends it."""
    app.Beat(
        schedule=schedule_file, pidfile="", loglevel=read_settings().log_level, quiet=True
    ).run()


if __name__ == "__main__":
    run(sys.argv[1])
