"""Whether a kept model can be served: what a process would say that loads it."""

from __future__ import annotations

import hashlib

from app.champion import open_model
from models.model_artefacts import ModelArtefact


def find_fault(artefact: ModelArtefact) -> str | None:
    """Say what keeps a model from being served, or None. Nothing of its bytes is executed."""
    if hashlib.sha256(artefact.content).hexdigest() != artefact.sha256:
        return "the bytes do not have the recorded sha256"
    try:
        open_model(artefact)
    # Whatever a crafted manifest makes fail is a reason to refuse the model.
    except Exception as error:
        return str(error) or type(error).__name__
    return None
