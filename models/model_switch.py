"""Switch the served model: by the gate, by a person, and back to the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from models.model_artefacts import ModelArtefact, find_earlier
from models.model_promotions import (
    Authority,
    ModelPromotion,
    lock_promotions,
    read_promotion,
    record_promotion,
)

#: Says why an artefact cannot be served, or None.
FindFault = Callable[[ModelArtefact], str | None]


class SwitchRefused(ValueError):
    """The model may not be served; the one that is served stays."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Switch:
    """The promotion that holds now, and the version that was served before it was asked for."""

    promotion: ModelPromotion
    before: int | None
    changed: bool


def promote_version(
    session: Session, version: int, authority: Authority, *, find_fault: FindFault
) -> Switch:
    """Serve a kept version. Asked for what is served already, change nothing.

    Raises SwitchRefused when there is no such version or its bytes do not verify.
    """
    lock_promotions(session)
    served = read_promotion(session)
    artefact = session.get(ModelArtefact, version)
    if artefact is None:
        raise SwitchRefused("unknown_model", f"there is no model of version {version}")
    _refuse_faulty(artefact, find_fault)
    before = served.version if served else None
    if served is not None and before == version:
        return Switch(served, before, changed=False)
    made = record_promotion(
        session, version, authority, previous_id=served.promotion_id if served else None
    )
    return Switch(made, before, changed=True)


def roll_back(
    session: Session,
    authority: Authority,
    *,
    find_fault: FindFault,
    served_version: int | None = None,
) -> Switch:
    """Serve the model that was served before this one.

    With `served_version` only if that is what is served: asked twice, it goes back once.
    Raises SwitchRefused when another model is served, when there is none to go back to, or when
    its bytes do not verify.
    """
    lock_promotions(session)
    served = read_promotion(session)
    found = served.version if served else None
    if served_version is not None and served_version != found:
        raise SwitchRefused(
            "another_model_served", f"version {found} is served, not {served_version}"
        )
    earlier = find_earlier(session, served)
    if earlier is None:
        raise SwitchRefused("no_earlier_model", "no model that was served before is kept")
    _refuse_faulty(session.get_one(ModelArtefact, earlier.version), find_fault)
    made = record_promotion(session, earlier.version, authority, previous_id=earlier.previous_id)
    return Switch(made, found, changed=True)


def _refuse_faulty(artefact: ModelArtefact, find_fault: FindFault) -> None:
    fault = find_fault(artefact)
    if fault is not None:
        raise SwitchRefused(
            "model_unusable", f"version {artefact.version} cannot be served: {fault}"
        )
