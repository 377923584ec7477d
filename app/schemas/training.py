"""Requests and answers of training and of the served model."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class RetrainQuery(Schema):
    """What a training reads."""

    days = fields.Integer(
        load_default=30,
        validate=validate.Range(1, 3650),
        metadata={"description": "days of events to read"},
    )


class TrainingRunAnswer(Schema):
    """A training run: queued, running, promoted, rejected, skipped or failed."""

    run_id = fields.Integer()
    status = fields.String(
        metadata={"description": "queued, running, promoted, rejected, skipped or failed"}
    )
    days = fields.Integer(metadata={"description": "days of events that it reads"})
    stage = fields.String(allow_none=True)
    reason = fields.String(allow_none=True)
    requested_at = fields.AwareDateTime()
    started_at = fields.AwareDateTime(allow_none=True)
    finished_at = fields.AwareDateTime(allow_none=True)
    figures = fields.Dict(allow_none=True)


class ModelInfo(Schema):
    """The served model, its figures and the decision that put it there."""

    status = fields.String(metadata={"description": "serving, or none before the first model"})
    version = fields.Integer(allow_none=True)
    trained_at = fields.AwareDateTime(allow_none=True)
    size_bytes = fields.Integer(allow_none=True)
    manifest = fields.Dict(allow_none=True)
    last_run = fields.Nested(TrainingRunAnswer, allow_none=True)
