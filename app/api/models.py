"""Trained models: what is served, what is kept, and how a person changes that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.api.training import MAX_ID, describe_run, read_id_cursor
from app.artefact_check import find_fault
from app.auth import public, require_scope
from app.blueprint import ApiBlueprint
from app.callers import caller_name
from app.clock import now
from app.database import current_session
from app.errors import Problem
from app.paging import cut_page, write_cursor
from app.schemas.lists import PageQuery
from app.schemas.models import (
    ModelAnswer,
    ModelInfo,
    ModelList,
    PromoteQuery,
    PromotionList,
    RollbackQuery,
    SwitchAnswer,
)
from app.state import state
from models.model_artefacts import ModelArtefact, read_artefacts, read_champion
from models.model_promotions import GATE, Authority, read_promotion_of, read_promotions
from models.model_switch import Switch, SwitchRefused, promote_version, roll_back
from models.training_runs import FAILED, read_last_run

blueprint = ApiBlueprint("models", __name__, url_prefix="/api", description="Training and model")

#: What anybody may know of a person who promoted a model.
BY_HAND = "by hand"
_REFUSED = {"409": {"description": "The model cannot be served, or there is none to go back to"}}


@blueprint.route("/model/info")
@blueprint.doc(summary="The served model")
@public
@blueprint.response(200, ModelInfo)
def model_info() -> dict[str, Any]:
    """Give the model that this process serves with its figures, and the last training run.

    Within seconds after a promotion each process serves the new model. One that does not verify
    is named as `refused`, and the model before it is served on.
    """
    champion, refused = state().champions.current(), state().champions.refused
    answer: dict[str, Any] = {"refused": refused, "last_run": _last_run()}
    if champion is None:
        return {"status": "none" if refused is None else "refused", **answer}
    promotion = read_promotion_of(current_session(), champion.version)
    return {
        "status": "serving",
        "version": champion.version,
        "trained_at": _trained_at(champion.manifest),
        "served_from": promotion and promotion.promoted_at,
        "promoted_by": promotion and (GATE if promotion.promoted_by == GATE else BY_HAND),
        "size_bytes": champion.size_bytes,
        **_figures_of(champion.manifest),
        "manifest": champion.manifest,
        **answer,
    }


@blueprint.route("/models")
@blueprint.doc(summary="The kept models")
@require_scope("read")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, ModelList)
def models(query: dict[str, Any]) -> dict[str, Any]:
    """List the kept models with their figures, the newest first: those that did not pass, too."""
    before = read_id_cursor(query["cursor"])
    found = read_artefacts(current_session(), limit=query["limit"] + 1, before=before)
    page, last = cut_page(found, query["limit"])
    return {
        "models": [_describe(artefact) for artefact in page],
        "next_cursor": last and write_cursor(last.version),
    }


@blueprint.route(f"/models/<int(max={MAX_ID}):version>")
@blueprint.doc(summary="One model")
@require_scope("read")
@blueprint.response(200, ModelAnswer)
def model(version: int) -> dict[str, Any]:
    """Give a kept model with its figures."""
    artefact = current_session().get(ModelArtefact, version)
    if artefact is None:
        raise _unknown(version)
    return _describe(artefact)


@blueprint.route("/models/promotions")
@blueprint.doc(summary="Which model was served when")
@require_scope("read")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, PromotionList)
def promotions(query: dict[str, Any]) -> dict[str, Any]:
    """List what was put to serve, when, by whom and why, the newest first."""
    before = read_id_cursor(query["cursor"])
    found = read_promotions(current_session(), limit=query["limit"] + 1, before=before)
    page, last = cut_page(found, query["limit"])
    return {"promotions": page, "next_cursor": last and write_cursor(last.promotion_id)}


@blueprint.route(f"/models/<int(max={MAX_ID}):version>/promote", methods=["POST"])
@blueprint.doc(summary="Serve a kept model", responses=_REFUSED)
@require_scope("train")
@blueprint.arguments(PromoteQuery, location="query")
@blueprint.response(200, SwitchAnswer)
def promote(query: dict[str, Any], version: int) -> dict[str, Any]:
    """Put a kept model to serve, whatever the gate said of it.

    Of what is served already nothing is changed. A model whose bytes do not verify is refused.
    """
    session = current_session()
    try:
        switch = promote_version(
            session, version, _authority(query["reason"]), find_fault=find_fault
        )
    except SwitchRefused as error:
        raise _problem(error) from None
    return _finish(switch)


@blueprint.route("/models/rollback", methods=["POST"])
@blueprint.doc(summary="Serve the model before", responses=_REFUSED)
@require_scope("train")
@blueprint.arguments(RollbackQuery, location="query")
@blueprint.response(200, SwitchAnswer)
def rollback(query: dict[str, Any]) -> dict[str, Any]:
    """Go back to the model that was served before this one; once more, and further back."""
    session = current_session()
    try:
        switch = roll_back(
            session,
            _authority(query["reason"]),
            find_fault=find_fault,
            served_version=query["served"],
        )
    except SwitchRefused as error:
        raise _problem(error) from None
    return _finish(switch)


def _finish(switch: Switch) -> dict[str, Any]:
    answer = {
        **_columns_of(switch.promotion),
        "changed": switch.changed,
        "served_before": switch.before,
    }
    current_session().commit()
    state().champions.want()
    return answer


def _authority(reason: str) -> Authority:
    return Authority(by=caller_name(), reason=reason, at=now())


def _describe(artefact: ModelArtefact) -> dict[str, Any]:
    session = current_session()
    champion = read_champion(session)
    return {
        "version": artefact.version,
        "run_id": artefact.run_id,
        "trained_at": artefact.created_at,
        "size_bytes": artefact.size_bytes,
        "sha256": artefact.sha256,
        "format_version": artefact.manifest.get("format_version"),
        "served": champion is not None and champion.version == artefact.version,
        "promotion": read_promotion_of(session, artefact.version),
        **_figures_of(artefact.manifest),
    }


def _figures_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Give the figures of a manifest; of one that no process would serve, what has a shape."""
    told = {
        name: value if isinstance(value := manifest.get(name), dict) else None
        for name in ("window", "counts", "metrics", "intervals", "baselines", "parts")
    }
    counts = told.pop("counts") or {}
    parts = told.pop("parts")
    return {
        **told,
        "num_products": counts.get("products"),
        "num_interactions": counts.get("interactions"),
        "decision": {
            "status": manifest.get("status"),
            "reason": manifest.get("reason"),
            "parts": parts,
        },
    }


def _trained_at(manifest: Mapping[str, Any]) -> datetime | None:
    written = manifest.get("trained_at")
    return datetime.fromisoformat(written) if written else None


def _last_run() -> dict[str, Any] | None:
    """Give the last run as anybody may see it: errors can name what is not theirs to know."""
    run = read_last_run(current_session())
    if run is None:
        return None
    told = describe_run(run)
    if run.status == FAILED:
        told["reason"] = f"see GET /api/training-runs/{run.run_id}"
    return {**told, "requested_by": None}


def _columns_of(row: Any) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in type(row).__mapper__.column_attrs}


def _unknown(version: int) -> Problem:
    return Problem(404, "unknown_model", f"there is no model of version {version}")


def _problem(error: SwitchRefused) -> Problem:
    return Problem(404 if error.code == "unknown_model" else 409, error.code, error.detail)
