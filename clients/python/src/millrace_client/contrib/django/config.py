"""Read the setting MILLRACE: options of the package, rules of visits, and two functions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Callable

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import LazyObject, empty
from django.utils.module_loading import import_string

import millrace_client
from millrace_client.contrib.visit import VisitRules
from millrace_client.options import Options

_OPTIONS = {option.name for option in fields(Options)}
_RULES = {rule.name for rule in fields(VisitRules)}
_FUNCTIONS = {"user", "consent", "on_error", "before_send"}


@dataclass(frozen=True)
class Config:
    """What the middleware needs."""

    rules: VisitRules
    user: Callable[[Any], Any] | None
    consent: Callable[[Any], bool]


def configure() -> Config:
    """Apply the setting to the package and give the rest. Raises ImproperlyConfigured."""
    given = {
        name: import_string(value) if name in _FUNCTIONS and isinstance(value, str) else value
        for name, value in getattr(settings, "MILLRACE", {}).items()
    }
    unknown = given.keys() - _OPTIONS - _RULES - _FUNCTIONS
    if unknown:
        raise ImproperlyConfigured(f"MILLRACE has no option {', '.join(sorted(unknown))}")
    for name in given.keys() & _OPTIONS:
        setattr(millrace_client, name, given[name])
    try:
        Options(**{name: getattr(millrace_client, name) for name in _OPTIONS})
        rules = VisitRules(**{name: given[name] for name in given.keys() & _RULES})
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"MILLRACE: {error}") from error
    return Config(rules, given.get("user", read_user), given.get("consent", lambda request: True))


def read_user(request: Any) -> Any:
    """Give the id of who is logged in.

    A session is read only when the request has its cookie: to look at it makes Django add
    `Vary: Cookie`, which strangers' pages can do without.
    """
    user = getattr(request, "user", None)
    is_unread = isinstance(user, LazyObject) and user._wrapped is empty
    if user is None or (is_unread and settings.SESSION_COOKIE_NAME not in request.COOKIES):
        return None
    return user.pk if user.is_authenticated else None
