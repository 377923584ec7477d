"""The trial of a packed model, and what the gate makes of it."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from ml import trial
from ml.artefact import describe
from ml.gate import Decision, decide_serving
from ml.train import train
from ml.trial import MOST_BYTES, MOST_LIST_MS, Trial, try_model

NOON = pd.Timestamp("2026-03-01T12:00Z").to_pydatetime()
PASSED = Decision("promoted", "Lists pass.", {})


@pytest.fixture(scope="module")
def trained(lively_shop):
    return train(*lively_shop, now=NOON)


def test_a_trained_model_says_how_long_its_lists_take(trained):
    assert 0 < trained.list_ms < MOST_LIST_MS


def test_a_model_is_asked_for_lists_of_people_and_of_products(trained, lively_shop):
    data, _ = lively_shop

    found = try_model(trained.artefact, trained.manifest, data, now=NOON.timestamp(), seed=1)

    assert found.refusal is None
    assert found.size_bytes == len(trained.artefact)
    assert found.list_ms > 0


def test_a_model_that_cannot_be_read_back_is_not_served(trained, lively_shop):
    data, _ = lively_shop
    broken = trained.artefact[:-100]
    manifest = describe(broken, trained.manifest)

    found = try_model(broken, manifest, data, now=NOON.timestamp(), seed=1)

    assert found.refusal is not None
    assert found.refusal.startswith("it cannot be read back: ")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Trial(MOST_BYTES + 2**20), "its artefact takes 257 MiB (256 at most)"),
        (Trial(1, MOST_LIST_MS + 1), "95 of 100 lists take 51 ms of processor time (50 at most)"),
    ],
)
def test_a_model_that_takes_too_much_is_not_served_and_the_reason_is_said(found, words):
    decision = decide_serving(PASSED, found.refusal)

    assert (decision.status, decision.reason) == ("rejected", f"Lists pass. Not promoted: {words}.")


def test_what_keeps_its_bounds_and_what_was_rejected_stay_as_they_were_decided():
    rejected = replace(PASSED, status="rejected")

    assert decide_serving(PASSED, Trial(MOST_BYTES, MOST_LIST_MS).refusal) is PASSED
    assert decide_serving(rejected, Trial(MOST_BYTES + 1).refusal) is rejected


def test_a_training_whose_lists_take_too_long_is_rejected_and_kept(
    lively_shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trial, "MOST_LIST_MS", 1e-6)

    result = train(*lively_shop, now=NOON)

    assert result.status == result.manifest["status"] == "rejected"
    assert "Not promoted: 95 of 100 lists take" in result.reason
    assert result.manifest["reason"] == result.reason
    assert result.artefact is not None
