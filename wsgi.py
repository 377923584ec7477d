"""The web entry: `granian --interface wsgi wsgi:app`, `gunicorn wsgi:app`."""

import os

# Each list solves one small system. Threads that numpy's linear algebra starts for it only wait for
# each other, and for the requests beside it. It must be said before numpy is loaded.
for _library in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_library, "1")

import lean_logs  # noqa: E402, F401 - before whatever loads structlog
from app.factory import create_app  # noqa: E402

app = create_app()
# What an earlier process left in the spool is fed, whether or not a request comes.
if (feeder := app.extensions["millrace"].feeder) is not None:
    feeder.watch()
