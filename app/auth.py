"""Who may call which view: each one declares it, and one that declares nothing is never served.

The check stands in front of the views, so that credentials come before anything else of a request
is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, g, request

from app.admin_tokens import find_caller
from app.clock import now
from app.database import db
from app.errors import Problem
from app.state import state
from models.api_keys import ADMIN_SCOPES, AdminToken

View = TypeVar("View", bound=Callable[..., Any])


class UndeclaredViewError(RuntimeError):
    """A route says neither which scope it needs nor that it is public."""


def require_scope(*scopes: str) -> Callable[[View], View]:
    """Declare that a view needs an admin token with the scope, or with one of them."""
    for scope in scopes:
        if scope not in ADMIN_SCOPES:
            raise ValueError(f"scope must be one of {', '.join(ADMIN_SCOPES)}, got {scope!r}")

    def decorate(view: View) -> View:
        view.accepted_scopes = scopes  # type: ignore[attr-defined]
        return view

    return decorate


def public(view: View) -> View:
    """Declare that a view answers anybody, by design."""
    view.accepted_scopes = ()  # type: ignore[attr-defined]
    return view


def takes_write_key(view: View) -> View:
    """Declare that a view takes events in: it answers anybody and checks write keys by itself."""
    view.takes_write_key = True  # type: ignore[attr-defined]
    return public(view)


def check_views(app: Flask) -> None:
    """Refuse to make an app with a view that declares nothing. Raises UndeclaredViewError."""
    silent = sorted(
        f"{rule.rule} ({rule.endpoint})"
        for rule in app.url_map.iter_rules()
        if not hasattr(app.view_functions[rule.endpoint], "accepted_scopes")
    )
    if silent:
        raise UndeclaredViewError(
            f"these routes need @require_scope(…) or @public: {', '.join(silent)}"
        )


def identify_caller() -> None:
    """Find out who calls a view that needs a scope; judge it later, when the rate is known."""
    if _accepted_scopes():
        g.caller = find_caller(
            request,
            db.engine,
            state().last_uses,
            now=now(),
        )


def authorise_caller() -> None:
    """Refuse a caller without the scope that the view needs. Raises Problem."""
    scopes = _accepted_scopes()
    if not scopes:
        return
    if isinstance(g.caller, Problem):
        raise g.caller
    if not set(scopes) & set(g.caller.scopes):
        wanted = " or ".join(map(repr, scopes))
        raise Problem(403, "scope_missing", f"this admin token lacks the scope {wanted}")


def current_caller() -> AdminToken | None:
    """Give the admin token of the current request, None without a valid one."""
    caller = g.get("caller")
    return caller if isinstance(caller, AdminToken) else None


def _accepted_scopes() -> tuple[str, ...]:
    # Flask itself answers OPTIONS, and for paths and methods that no view has.
    if request.endpoint is None or request.method == "OPTIONS":
        return ()
    view: Any = current_app.view_functions[request.endpoint]
    scopes: tuple[str, ...] = view.accepted_scopes
    return scopes
