"""Structured logs for every process: constant event names with fields, no personal data."""

from __future__ import annotations

import logging
import sys
import traceback

import structlog
from structlog.types import EventDict, Processor, WrappedLogger


def configure_logs(level: str) -> None:
    """Write logs to standard error: coloured lines for a person, JSON where nobody watches.

    What libraries log goes the same way, from warnings on.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _describe_exception,
    ]
    renderer: Processor = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # Standard error as it is when a line is written: tests put another one in its place.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.WARNING))


def describe_error(error: BaseException) -> str:
    """Say what an error is and where it came from, the first cause last.

    Its words are left out: those of databases and decoders quote what people sent.
    """
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(parts) < 5:
        frames = traceback.extract_tb(cause.__traceback__)[-8:]
        way = " > ".join(map(_place, frames))
        parts.append(f"{type(cause).__name__} at {way}" if way else type(cause).__name__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return " from ".join(parts)


def _place(frame: traceback.FrameSummary) -> str:
    folder_and_file = "/".join(frame.filename.rsplit("/", 2)[-2:])
    return f"{folder_and_file}:{frame.lineno} {frame.name}"


def _describe_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    found = event.pop("exc_info", None)
    if isinstance(found, tuple):
        found = found[1]
    elif found and not isinstance(found, BaseException):
        found = sys.exc_info()[1]
    if found:
        event["exception"] = describe_error(found)
    return event
