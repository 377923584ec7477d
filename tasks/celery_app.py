"""The Celery application: `celery -A tasks.celery_app worker|beat|flower|call|inspect`."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from logs import configure_logs
from settings import read_settings

app = Celery("millrace", config_source="celeryconfig")


@setup_logging.connect
def _configure_logs(**_: Any) -> None:
    configure_logs(read_settings().log_level)
