"""Read the environment once and give everyone else plain values.

This is the only module that looks at environment variables. Each setting stands here with its
default, its bounds and its meaning; the table in the README is generated from the same fields
and a test keeps the two alike.
"""

from __future__ import annotations

import re
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from environs import Env, EnvError
from marshmallow import validate

#: The shortest retention: events wait and are late for some days.
MIN_RETENTION_DAYS = 7
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,50}){0,4}")


class SettingsError(ValueError):
    """Say which variable is wrong, what it holds and what it may hold."""


def _setting(env: str, default: Any, help_text: str, **rules: Any) -> Any:
    """Declare one setting: its variable, default, meaning and rules (min, max, one_of)."""
    return field(default=default, metadata={"env": env, "help": help_text, **rules})


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold every setting of one process, checked and immutable."""

    # Where the servers are
    database_url: str = _setting(
        "DATABASE_URL", "", "PostgreSQL 15 or newer; empty: `./millrace run` starts its own"
    )
    redis_url: str = _setting(
        "REDIS_URL",
        "",
        "Redis or Valkey for inbox and queue; empty: `./millrace run` starts its own",
    )
    broker_url: str = _setting(
        "CELERY_BROKER_URL", "", "Celery's broker; empty: the same as REDIS_URL"
    )
    secret_key: str = _setting(
        "SECRET_KEY", "", "signs sessions and salts; empty: made at first start"
    )
    data_dir: str = _setting(
        "MILLRACE_DATA_DIR", "var", "where the embedded servers keep their data"
    )

    # The door
    analytics_enabled: bool = _setting(
        "ANALYTICS_ENABLED", True, "false: the door answers 204 and keeps nothing"
    )
    max_event_bytes: int = _setting(
        "ANALYTICS_MAX_EVENT_SIZE", 2048, "bytes of JSON one event may have", min=256, max=1_048_576
    )
    max_batch_events: int = _setting(
        "ANALYTICS_MAX_BATCH_EVENTS", 1000, "events one request may carry", min=1, max=10_000
    )
    max_request_bytes: int = _setting(
        "ANALYTICS_MAX_REQUEST_SIZE",
        5_242_880,
        "bytes one request may have, packed or unpacked",
        min=4096,
        max=67_108_864,
    )
    sdk_max_event_bytes: int = _setting(
        "SDK_MAX_EVENT_SIZE",
        32_768,
        "the same for events in the words of other systems' SDKs, which say more of themselves",
        min=256,
        max=1_048_576,
    )
    door_prefix: str = _setting(
        "DOOR_PREFIX",
        "/mr",
        "a second, neutral path below which every ingestion path and the tracker answer too; "
        "empty: none",
    )
    strict_types: bool = _setting(
        "ANALYTICS_STRICT_TYPES", False, "true: event types outside of the catalogue are rejected"
    )
    event_types_file: str = _setting(
        "EVENT_TYPES_FILE", "", "a TOML file with event types of your own"
    )
    ip_mode: str = _setting(
        "ANALYTICS_IP_MODE",
        "truncated",
        "what is kept of an address: off, truncated (/24 and /48), hashed (with a salt that is "
        "forgotten after a day) or full",
        one_of=("off", "truncated", "hashed", "full"),
    )
    property_deny_list: str = _setting(
        "PROPERTY_DENY_LIST",
        "",
        "comma-separated names that are taken out of properties and context at the door",
    )
    respect_dnt: bool = _setting(
        "RESPECT_DNT", False, "true: requests with DNT: 1 or Sec-GPC: 1 get 204 and nothing is kept"
    )
    trusted_proxies: int = _setting(
        "TRUSTED_PROXIES", 0, "proxies in front whose X-Forwarded-For is believed", min=0, max=10
    )
    require_key: bool = _setting(
        "INGEST_REQUIRE_KEY", False, "true: events without a write key get 401"
    )
    jwt_secret: str = _setting(
        "ANALYTICS_JWT_SECRET", "", "key of the host application's JWTs; empty: Bearer is ignored"
    )
    jwt_algorithms: str = _setting(
        "ANALYTICS_JWT_ALGORITHMS", "HS256", "comma-separated JWT algorithms"
    )
    door_timeout_s: float = _setting(
        "INGEST_TIMEOUT_S",
        0.2,
        "longest wait for the inbox before a batch goes to the spool, or gets 503",
        min=0.02,
        max=5.0,
    )
    spool: str = _setting(
        "INGEST_SPOOL",
        "spool",
        "directory on this machine's disk, in MILLRACE_DATA_DIR unless absolute, for what comes "
        "while the inbox is away; off: it gets 503",
    )
    spool_max_bytes: int = _setting(
        "INGEST_SPOOL_MAX_BYTES",
        1_073_741_824,
        "size the spool may have before the door answers 503",
        min=65_536,
        max=1 << 40,
    )
    request_timeout_s: float = _setting(
        "REQUEST_TIMEOUT_S",
        30.0,
        "seconds in which the body of a request must have arrived; less in a crowd of slow clients",
        min=1.0,
        max=600.0,
    )

    # Inbox and worker
    inbox_max_bytes: int = _setting(
        "INBOX_MAX_BYTES",
        536_870_912,
        "memory the inbox may take before the door answers 503",
        min=65_536,
        max=1 << 40,
    )
    inbox_reclaim_s: float = _setting(
        "INBOX_RECLAIM_S",
        30.0,
        "age at which a dead worker's batches are taken over",
        min=0.1,
        max=3600.0,
    )
    store_timeout_s: float = _setting(
        "STORE_TIMEOUT_S",
        120.0,
        "seconds that one statement of a store may take, half of them waiting for locks",
        min=1.0,
        max=3600.0,
    )
    drain_rows: int = _setting(
        "DRAIN_ROWS", 20_000, "events one transaction may store", min=1, max=50_000
    )
    dead_letters_alarm: int = _setting(
        "DEAD_LETTERS_ALARM",
        100,
        "dead letters that may wait before `/readyz` and `./millrace doctor` tell of them",
        min=0,
        max=1_000_000_000,
    )

    # Reports and retention
    report_timezone: str = _setting(
        "REPORT_TIMEZONE", "UTC", "the zone in which a day begins and ends"
    )
    retention_days: int = _setting(
        "ANALYTICS_RETENTION_DAYS",
        365,
        "age in days at which events are purged",
        min=MIN_RETENTION_DAYS,
        max=36_500,
    )

    retention_by_type: str = _setting(
        "RETENTION_BY_TYPE",
        "",
        "shorter retention of some types, such as page_view=30,search=90",
    )
    report_properties: str = _setting(
        "REPORT_PROPERTIES",
        "service_id",
        "comma-separated properties whose values are counted a day, so that top lists outlive a "
        "purge",
    )
    rate_limit: str = _setting(
        "API_RATE_LIMIT",
        "600/minute",
        "requests to the reading API a token or address may make; empty: no limit",
    )

    # Recommendations
    train_days: int = _setting(
        "TRAIN_DAYS", 30, "days of events the nightly training reads", min=1, max=3650
    )
    train_time_budget_s: int = _setting(
        "TRAIN_TIME_BUDGET_S",
        900,
        "seconds a training may take; what is beyond twice of it is stopped",
        min=10,
        max=86_400,
    )
    train_memory_budget_mb: int = _setting(
        "TRAIN_MEMORY_BUDGET_MB",
        1500,
        "megabytes a training may take; models and interactions that need more are left out",
        min=200,
        max=1_000_000,
    )
    train_max_interactions: int = _setting(
        "TRAIN_MAX_INTERACTIONS",
        5_000_000,
        "interactions a training reads at most, the newest",
        min=1000,
        max=100_000_000,
    )
    recommendations_access: str = _setting(
        "RECOMMENDATIONS_ACCESS",
        "public",
        "who may ask for a user's recommendations: public, or token: callers with an admin token "
        "of the scope read, and the user with a JWT of the host application",
        one_of=("public", "token"),
    )
    recommendations_bought_days: int = _setting(
        "RECOMMENDATIONS_BOUGHT_DAYS",
        0,
        "days for which a product stays out of the lists of who bought it; 0: as exclude_seen says",
        min=0,
        max=90,
    )

    # Web, worker, monitoring
    inbox_max_age_s: float = _setting(
        "INBOX_MAX_AGE_S",
        120.0,
        "age of the oldest batch, in seconds, at which /readyz says degraded",
        min=1.0,
        max=86_400.0,
    )
    canary: bool = _setting(
        "CANARY",
        True,
        "every minute an event that no figure counts goes the whole way to the tables; false: none",
    )
    report_timeout_s: float = _setting(
        "REPORT_TIMEOUT_S",
        30.0,
        "seconds that one question of a report to the database may take before 504",
        min=1.0,
        max=3600.0,
    )
    host: str = _setting("HOST", "127.0.0.1", "address the web server listens on")
    port: int = _setting("PORT", 8000, "port the web server listens on", min=1, max=65_535)
    flower_port: int = _setting("FLOWER_PORT", 5555, "port flower listens on", min=1, max=65_535)
    web_processes: int = _setting("WEB_PROCESSES", 1, "web server processes", min=1, max=64)
    worker_processes: int = _setting(
        "WORKER_PROCESSES", 2, "worker processes that store events", min=1, max=64
    )
    log_level: str = _setting(
        "LOG_LEVEL",
        "info",
        "debug, info, warning or error",
        one_of=("debug", "info", "warning", "error"),
    )
    fail_points_dir: str = _setting(
        "MILLRACE_FAIL_POINTS_DIR",
        "",
        "tests only, refused elsewhere: a directory whose files make processes fail",
    )

    @property
    def sqlalchemy_url(self) -> str:
        """Give DATABASE_URL with the driver named, as SQLAlchemy wants it."""
        return sqlalchemy_url(self.database_url)

    @property
    def celery_broker_url(self) -> str:
        """Give the broker's address in Celery's spelling of Unix sockets."""
        return celery_url(self.broker_url or self.redis_url)

    @property
    def counted_properties(self) -> tuple[str, ...]:
        """Give the names in REPORT_PROPERTIES, each once."""
        names = (name.strip() for name in self.report_properties.split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def retention_of_types(self) -> dict[str, int]:
        """Give the days of RETENTION_BY_TYPE by the catalogue's names. Raises SettingsError."""
        return _read_retention(self.retention_by_type, below=self.retention_days)

    @property
    def open_days(self) -> int:
        """Give the shortest retention: a purge seals older days, and they take no events."""
        return min([self.retention_days, *self.retention_of_types.values()])

    @property
    def zone(self) -> ZoneInfo:
        """Give the reporting time zone."""
        return ZoneInfo(self.report_timezone)


def sqlalchemy_url(url: str) -> str:
    """Name psycopg 3 as the driver of a PostgreSQL address that names none."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def celery_url(url: str) -> str:
    """Spell a Redis address as kombu does (`redis+socket://` for a Unix socket)."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    query = "?" + parts.query.replace("db=", "virtual_host=") if parts.query else ""
    return f"redis+socket://{parts.path}{query}"


def read_settings(environ: dict[str, str] | None = None) -> Settings:
    """Read and check all settings.

    `environ` replaces the process environment (for tests). Raises SettingsError
    with the variable's name, its value and what it may hold.
    """
    env = Env() if environ is None else _FixedEnv(environ)
    values = {item.name: _read_one(env, item) for item in fields(Settings)}
    settings = Settings(**values)
    try:
        _ = settings.zone
    except (KeyError, ValueError) as error:
        raise SettingsError(
            "REPORT_TIMEZONE must be a zone such as UTC or Europe/Berlin, "
            f"got {settings.report_timezone!r}"
        ) from error
    _ = settings.retention_of_types
    if not _PREFIX.fullmatch(settings.door_prefix):
        raise SettingsError(
            "DOOR_PREFIX must be empty or a path such as /mr, of letters, digits, . _ ~ and -, "
            f"with no slash at its end, got {settings.door_prefix!r}"
        )
    if settings.fail_points_dir and not env.str("PYTEST_VERSION", ""):
        raise SettingsError(
            f"MILLRACE_FAIL_POINTS_DIR is for tests only, got {settings.fail_points_dir!r}"
        )
    return settings


def _read_retention(text: str, *, below: int) -> dict[str, int]:
    if not text.strip():
        return {}
    # The catalogue asks this module for its file.
    from event_types import canonical_name

    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, days = (word.strip() for word in part.partition("="))
        kind = canonical_name(name)
        if not name or not days.isascii() or not days.isdigit() or kind in found:
            raise SettingsError(
                "RETENTION_BY_TYPE must name each type once, such as page_view=30,search=90, "
                f"got {part.strip()!r}"
            )
        if len(days) > 5 or not MIN_RETENTION_DAYS <= int(days) < below:
            raise SettingsError(
                f"RETENTION_BY_TYPE must give {name} from {MIN_RETENTION_DAYS} to {below - 1} "
                f"days, less than ANALYTICS_RETENTION_DAYS, got {days}"
            )
        found[kind] = int(days)
    return found


def read_event_types_file() -> str:
    """Give EVENT_TYPES_FILE alone: the catalogue is made at import, whatever else is set."""
    name: str = _read_one(Env(), Settings.__dataclass_fields__["event_types_file"])
    return name


class _FixedEnv(Env):
    """An environment given as a mapping."""

    def __init__(self, environ: dict[str, str]) -> None:
        super().__init__()
        self._values = environ

    def _get_value(self, env_key: str, default: Any) -> Any:
        return self._values.get(env_key, default)


def _read_one(env: Env, item: Field[Any]) -> Any:
    rules = item.metadata
    checks: list[validate.Validator] = []
    if "min" in rules:
        checks.append(validate.Range(min=rules["min"], max=rules["max"]))
    if "one_of" in rules:
        checks.append(validate.OneOf(rules["one_of"]))
    readers: dict[type, Any] = {bool: env.bool, int: env.int, float: env.float, str: env.str}
    read = readers[type(item.default)]
    try:
        return read(rules["env"], item.default, validate=checks)
    except EnvError as error:
        raise SettingsError(f"{error} (it means: {rules['help']})") from error


def resolve_data_dir(settings: Settings, *, root: Path) -> Path:
    """Give the data directory as an absolute path; a relative one starts at `root`."""
    path = Path(settings.data_dir).expanduser()
    return path if path.is_absolute() else (root / path)


def resolve_spool_dir(settings: Settings, *, root: Path) -> Path | None:
    """Give the spool's directory as an absolute path, None without a spool."""
    if settings.spool in ("", "off"):
        return None
    return resolve_data_dir(settings, root=root) / Path(settings.spool).expanduser()


def describe_settings() -> str:
    """Write the table of all settings, as it stands in the README."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for item in fields(Settings):
        default = item.default
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        cells = (f"`{item.metadata['env']}`", f"`{shown}`" if shown else "", item.metadata["help"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
