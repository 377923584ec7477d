"""The Celery application: `celery -A tasks.celery_app worker|beat|flower|call|inspect`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import setup_logging

from logs import configure_logs
from settings import read_settings

# `celery -A …` puts the working directory on the path to find this module, and takes it off again:
# what a task imports later, such as `ml`, would not be found. So it stands there a second time.
sys.path.append(str(Path(__file__).resolve().parents[1]))

app = Celery("millrace", config_source="celeryconfig")


@setup_logging.connect
def _configure_logs(**_: Any) -> None:
    configure_logs(read_settings().log_level)
