"""Requests and answers of training runs."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class RetrainQuery(Schema):
    """What a training reads."""

    days = fields.Integer(
        load_default=30,
        validate=validate.Range(1, 3650),
        metadata={"description": "days of events to read"},
    )


class BudgetAnswer(Schema):
    """What a training may take."""

    seconds = fields.Float(metadata={"description": "TRAIN_TIME_BUDGET_S"})
    memory_bytes = fields.Integer(metadata={"description": "TRAIN_MEMORY_BUDGET_MB"})


class TrainingRunAnswer(Schema):
    """A training run: queued, running, promoted, rejected, skipped or failed."""

    run_id = fields.Integer(required=True)
    status = fields.String(
        required=True,
        metadata={"description": "queued, running, promoted, rejected, skipped or failed"},
    )
    days = fields.Integer(required=True, metadata={"description": "days of events that it reads"})
    requested_at = fields.AwareDateTime(required=True)
    requested_by = fields.String(
        allow_none=True,
        metadata={"description": "a token's name, timetable or command"},
    )
    waits_for = fields.Integer(
        allow_none=True, metadata={"description": "the run that has to end before this one begins"}
    )
    started_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "when it was begun; of the last attempt"}
    )
    heartbeat_at = fields.AwareDateTime(
        allow_none=True,
        metadata={"description": "its process was alive then; while it runs, every five seconds"},
    )
    finished_at = fields.AwareDateTime(allow_none=True)
    attempts = fields.Integer(
        metadata={"description": "how often it was begun; a dead run is begun once more"}
    )
    stage = fields.String(
        allow_none=True, metadata={"description": "what it does now; null when it does not run"}
    )
    percent = fields.Float(metadata={"description": "how much is done, 0 to 100; never falls"})
    seconds = fields.Float(
        allow_none=True, metadata={"description": "since it was begun, or what it took"}
    )
    seconds_left = fields.Float(
        allow_none=True,
        metadata={"description": "at the pace so far; null until a tenth is done"},
    )
    budget = fields.Nested(
        BudgetAnswer, allow_none=True, metadata={"description": "what it may take"}
    )
    reason = fields.String(
        allow_none=True, metadata={"description": "why it ended so, for people to read"}
    )
    figures = fields.Dict(
        allow_none=True,
        metadata={"description": "what was measured: metrics, baselines, intervals, seconds"},
    )


class TrainingRunList(Schema):
    """A page of training runs, the newest first."""

    training_runs = fields.List(
        fields.Nested(TrainingRunAnswer), required=True, metadata={"description": "the runs"}
    )
    next_cursor = fields.String(allow_none=True, required=True)
