"""The Celery application: `celery -A tasks.celery_app worker|beat|flower|call|inspect`."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import beat_init, before_task_publish, setup_logging, worker_init

import fail_points
import lean_logs  # noqa: F401 - before whatever loads structlog
from logs import configure_logs
from settings import read_settings

# `celery -A …` puts the working directory on the path to find this module, and takes it off again:
# what a task imports later, such as `ml`, would not be found. So it stands there a second time.
sys.path.append(str(Path(__file__).resolve().parents[1]))

app = Celery("millrace", config_source="celeryconfig")
fail_points.enable(read_settings().fail_points_dir)


@setup_logging.connect
def _configure_logs(**_: Any) -> None:
    configure_logs(read_settings().log_level)


@worker_init.connect
def _load_tasks(**_: Any) -> None:
    # Workers alone carry tasks out. Beat and flower name them, and are half as large without them.
    import tasks.registry  # noqa: F401

    # What is loaded now the worker's processes share, as long as no collection writes there.
    gc.collect()
    gc.freeze()


@beat_init.connect
def _watch_the_timetable(**_: Any) -> None:
    before_task_publish.connect(lambda **_: fail_points.fail_point("beat.due"), weak=False)
