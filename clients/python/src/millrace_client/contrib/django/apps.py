"""The application in INSTALLED_APPS: it hands the settings to the package."""

from __future__ import annotations

from django.apps import AppConfig

from millrace_client.contrib.django.config import configure


class MillraceConfig(AppConfig):  # type: ignore[misc]
    """Sets up the package for requests, commands and workers alike."""

    name = "millrace_client.contrib.django"
    label = "millrace"

    def ready(self) -> None:
        """Read the settings; no connection is opened and no thread started."""
        configure()
