"""Django: events of a request know its visitor, and pages are told by themselves.

INSTALLED_APPS = [..., "millrace_client.contrib.django"]
MIDDLEWARE = [..., "millrace_client.contrib.django.middleware.MillraceMiddleware"]
MILLRACE = {"host": "https://events.example.com", "write_key": "wk_…"}
"""
