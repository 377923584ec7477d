"""Requests and answers of trained models, and of which one is served."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.schemas.training import TrainingRunAnswer


class PromoteQuery(Schema):
    """Why a model is put to serve."""

    reason = fields.String(
        load_default="by hand",
        validate=validate.Length(1, 500),
        metadata={"description": "for whoever reads the history"},
    )


class RollbackQuery(PromoteQuery):
    """From which model to go back, and why."""

    served = fields.Integer(
        load_default=None,
        validate=validate.Range(1, 2**63 - 1),
        metadata={
            "description": "go back only if this version is served: a request that is sent twice "
            "goes back once"
        },
    )


class PromotionAnswer(Schema):
    """A model that is served from a moment on."""

    promotion_id = fields.Integer(
        required=True, metadata={"description": "its number: the highest one holds"}
    )
    version = fields.Integer(required=True)
    promoted_at = fields.AwareDateTime(
        required=True, metadata={"description": "when it was put to serve"}
    )
    promoted_by = fields.String(
        required=True, metadata={"description": "gate, a token's name, or command"}
    )
    reason = fields.String(required=True, metadata={"description": "why it was put to serve"})


class PromotionList(Schema):
    """A page of what was served when, the newest first."""

    promotions = fields.List(
        fields.Nested(PromotionAnswer),
        required=True,
        metadata={"description": "what was put to serve"},
    )
    next_cursor = fields.String(allow_none=True, required=True)


class SwitchAnswer(PromotionAnswer):
    """The model that is served now, and the one that was served before."""

    changed = fields.Boolean(
        required=True, metadata={"description": "false: it was served already"}
    )
    served_before = fields.Integer(
        allow_none=True, required=True, metadata={"description": "the version served until now"}
    )


class DecisionAnswer(Schema):
    """What the gate decided of a model."""

    status = fields.String(allow_none=True, metadata={"description": "promoted or rejected"})
    reason = fields.String(allow_none=True, metadata={"description": "for people to read"})
    parts = fields.Dict(
        allow_none=True,
        metadata={
            "description": "new, again, session and similar, those that could be judged: status, "
            "reason and figures of each"
        },
    )


class Figures(Schema):
    """How a model did on days that it had not seen."""

    window = fields.Dict(
        allow_none=True,
        metadata={"description": "first and last interaction, the cut, and how it was judged"},
    )
    num_products = fields.Integer(allow_none=True, metadata={"description": "products it knows"})
    num_interactions = fields.Integer(
        allow_none=True, metadata={"description": "interactions it was trained on"}
    )
    metrics = fields.Dict(
        allow_none=True,
        metadata={"description": "of the first of its lists, by name; `decision.parts` has each"},
    )
    intervals = fields.Dict(
        allow_none=True,
        metadata={
            "description": "mean, low and high (95 %) of its NDCG@10 and of its difference to "
            "each baseline"
        },
    )
    baselines = fields.Dict(
        allow_none=True, metadata={"description": "the same metrics of simpler models"}
    )
    decision = fields.Nested(
        DecisionAnswer, allow_none=True, metadata={"description": "what the gate decided"}
    )


class ModelAnswer(Figures):
    """A model that is kept."""

    version = fields.Integer(required=True)
    run_id = fields.Integer(required=True)
    trained_at = fields.AwareDateTime(required=True)
    size_bytes = fields.Integer(required=True, metadata={"description": "bytes of its artefact"})
    sha256 = fields.String(required=True, metadata={"description": "hash of its artefact"})
    format_version = fields.Integer(
        allow_none=True, metadata={"description": "layout of its artefact"}
    )
    served = fields.Boolean(required=True, metadata={"description": "whether it is served now"})
    promotion = fields.Nested(
        PromotionAnswer,
        allow_none=True,
        metadata={"description": "when it was last put to serve; null: never"},
    )


class ModelList(Schema):
    """A page of the kept models, the newest first."""

    models = fields.List(
        fields.Nested(ModelAnswer), required=True, metadata={"description": "the kept models"}
    )
    next_cursor = fields.String(allow_none=True, required=True)


class RefusedAnswer(Schema):
    """A promoted model that this process refuses to serve."""

    version = fields.Integer(required=True)
    reason = fields.String(required=True, metadata={"description": "what does not verify"})


class ModelInfo(Figures):
    """The model that this process serves, its figures and the decision that put it there."""

    status = fields.String(
        required=True,
        metadata={
            "description": "serving; none before the first model; refused when the promoted model "
            "does not verify and lists come from the catalogue's shelves"
        },
    )
    version = fields.Integer(allow_none=True)
    trained_at = fields.AwareDateTime(allow_none=True)
    served_from = fields.AwareDateTime(
        allow_none=True, metadata={"description": "when it was put to serve"}
    )
    promoted_by = fields.String(allow_none=True, metadata={"description": "gate, or by hand"})
    size_bytes = fields.Integer(allow_none=True, metadata={"description": "bytes of its artefact"})
    refused = fields.Nested(
        RefusedAnswer,
        allow_none=True,
        metadata={"description": "the promoted model, when this process refuses it"},
    )
    manifest = fields.Dict(
        allow_none=True, metadata={"description": "everything the artefact says of itself"}
    )
    last_run = fields.Nested(
        TrainingRunAnswer,
        allow_none=True,
        metadata={"description": "the training that was asked for last, whatever came of it"},
    )
