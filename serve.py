"""Start the web server: granian, with what its processes load in common loaded once, before them.

They are forked, so they share these pages until one of them writes there. Where Python does not
fork them (from 3.14 on) each loads its own, as with plain `granian`. Arguments are granian's.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os

# See wsgi.py: before numpy is loaded.
for _library in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_library, "1")

from granian.cli import entrypoint  # noqa: E402

import app.factory  # noqa: E402, F401
import lean_logs  # noqa: E402, F401 - before whatever loads structlog

#: What making the app loads besides: Flask-Limiter and Celery look for these by themselves.
_LOADED_LATER = ("celery.fixups.django", "celery.worker.worker", "flask_sqlalchemy.cli", "valkey")

if __name__ == "__main__":
    for name in _LOADED_LATER:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # Otherwise the first collection in each process would write to every object, and copy it.
    gc.collect()
    gc.freeze()
    entrypoint()  # type: ignore[no-untyped-call]
