"""Settings as the environment of child processes."""

from __future__ import annotations

from dataclasses import fields

from settings import Settings


def environment_of(settings: Settings) -> dict[str, str]:
    """Write every setting as the variable that `read_settings` would read it from."""
    values = {item.metadata["env"]: getattr(settings, item.name) for item in fields(settings)}
    return {name: _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
