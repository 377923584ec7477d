"""The paths of our own doors, as they stand in the API's document."""

from __future__ import annotations

from app.doors import activity, native
from app.doors.routes import Routes

OUR_DOORS = Routes.of(native.ROUTES, activity.ROUTES).exact
