"""Blueprints of the API: each route is documented with what it needs and how it can fail."""

from __future__ import annotations

from flask_smorest import Blueprint


class ApiBlueprint(Blueprint):
    """flask-smorest's blueprint, as all of our API uses it."""
