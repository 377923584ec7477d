"""The one client behind the functions of the package."""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import fields
from functools import wraps
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from millrace_client.client import Client
from millrace_client.options import Options

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")

R = TypeVar("R")

log = logging.getLogger("millrace")

_lock = threading.RLock()
_client: Client | None = None


def default_client() -> Client:
    """Give the client of the package's settings, made when it is first needed.

    With settings that cannot work it is one that is not enabled, and the log says why.
    """
    global _client
    if _client is None:
        with _lock:
            if _client is None:
                made = _make_client()
                # A signal handler that tracked meanwhile has made one already.
                _client = _client or made
    return _client


def _make_client() -> Client:
    package = sys.modules[__package__ or "millrace_client"]
    options = {option.name: getattr(package, option.name) for option in fields(Options)}
    try:
        return Client(**options)
    except (TypeError, ValueError):
        # This may be within the application's first order.
        log.exception("nothing is tracked: the settings cannot work")
        return Client("http://127.0.0.1", enabled=False)


def on_default(method: Callable[Concatenate[Any, P], R]) -> Callable[P, R]:
    """Make a function of the package from a method of the client."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(default_client(), *args, **kwargs)

    return call


def _renew_lock() -> None:
    # A thread of the parent may hold it.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
