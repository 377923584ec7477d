"""The web entry: `granian --interface wsgi wsgi:app`, `gunicorn wsgi:app`."""

from app.factory import create_app

app = create_app()
