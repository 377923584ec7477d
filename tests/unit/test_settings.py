"""Settings: an error names the variable, its value and what it may hold."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from settings import Settings, SettingsError, read_settings, resolve_data_dir

DEFAULTS = read_settings({})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "0"),
        ("PORT", "http"),
        ("ANALYTICS_ENABLED", "perhaps"),
        ("ANALYTICS_IP_MODE", "some"),
        ("ANALYTICS_MAX_EVENT_SIZE", "-1"),
        ("ANALYTICS_RETENTION_DAYS", "5"),
        ("INGEST_TIMEOUT_S", "nan"),
        ("INBOX_MAX_BYTES", "1e9"),
        ("LOG_LEVEL", "loud"),
        ("RETENTION_BY_TYPE", "page_view"),
        ("RETENTION_BY_TYPE", "page_view=6"),
        ("RETENTION_BY_TYPE", "page_view=365"),
        ("RETENTION_BY_TYPE", "page_view=30,pageview=40"),
        ("RETENTION_BY_TYPE", "page_view=30,"),
        ("RETENTION_BY_TYPE", "page_view=99999999999999999999"),
        ("REPORT_TIMEZONE", "Mars/Olympus"),
        ("REPORT_TIMEZONE", ""),
        ("REPORT_TIMEZONE", "../../etc/passwd"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        read_settings({variable: value})


def test_the_defaults_stand_without_any_variable() -> None:
    assert Settings() == DEFAULTS


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        DEFAULTS.port = 1  # type: ignore[misc]


def test_each_setting_has_a_variable_of_its_own_and_says_what_it_means() -> None:
    variables = [item.metadata["env"] for item in fields(Settings)]

    assert len(set(variables)) == len(variables)
    assert all(item.metadata["help"] for item in fields(Settings))


@pytest.mark.parametrize("text", ["true", "1", "yes", "on"])
def test_switches_understand_the_usual_words(text: str) -> None:
    assert read_settings({"INGEST_REQUIRE_KEY": text}).require_key


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d?a=b", "postgresql+psycopg://u@h/d?a=b"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
    ],
)
def test_the_database_address_names_its_driver(url: str, expected: str) -> None:
    assert read_settings({"DATABASE_URL": url}).sqlalchemy_url == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"REDIS_URL": "redis://h:1/2"}, "redis://h:1/2"),
        ({"REDIS_URL": "unix:///run/v.sock"}, "redis+socket:///run/v.sock"),
        ({"REDIS_URL": "unix:///run/v.sock?db=3"}, "redis+socket:///run/v.sock?virtual_host=3"),
        ({"REDIS_URL": "redis://a", "CELERY_BROKER_URL": "amqp://b"}, "amqp://b"),
    ],
)
def test_the_broker_is_the_inbox_server_unless_another_is_named(
    environ: dict[str, str], expected: str
) -> None:
    assert read_settings(environ).celery_broker_url == expected


def test_a_relative_data_directory_starts_at_the_root() -> None:
    root = Path("/srv/millrace")

    assert resolve_data_dir(DEFAULTS, root=root) == root / "var"
    absolute = read_settings({"MILLRACE_DATA_DIR": "/data"})
    assert resolve_data_dir(absolute, root=root) == Path("/data")
