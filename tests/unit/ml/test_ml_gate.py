from __future__ import annotations

import numpy as np
import pytest

from ml.gate import Decision, decide, decide_artefact


def people(mean, number, spread=0.1):
    return mean + spread * np.linspace(-1, 1, number)


def test_a_clearly_better_candidate_is_promoted():
    decision = decide(people(0.2, 400), people(0.1, 400), people(0.2, 400))

    assert decision.promote
    assert decision.reason.startswith("better than recent popularity for 400 people")
    assert decision.figures["difference_low"] > 0


def test_a_candidate_not_proven_better_is_rejected():
    noise = np.random.default_rng(0).normal(0, 1, 400)

    decision = decide(people(0.1, 400) + noise - noise.mean() + 0.01, people(0.1, 400))

    assert decision.status == "rejected"
    assert "not proven better" in decision.reason


@pytest.mark.parametrize(
    ("mean", "status", "word"), [(0.1, "promoted", "not worse"), (0.09, "rejected", "worse")]
)
def test_with_few_people_not_worse_is_enough_and_is_said(mean, status, word):
    decision = decide(people(mean, 299), people(0.1, 299))

    assert decision.status == status
    assert decision.reason.startswith(f"{word} than recent popularity")
    assert "too few to prove more (300 needed)" in decision.reason


@pytest.mark.parametrize(("champion", "status"), [(0.2, "promoted"), (0.21, "rejected")])
def test_two_percent_below_the_champion_is_the_limit(champion, status):
    decision = decide(people(0.197, 400), people(0.1, 400), people(champion, 400))

    assert decision.status == status
    assert "2 % below the champion's recipe" in decision.reason


def test_without_test_people_nothing_is_decided():
    decision = decide(np.zeros(0), np.zeros(0))

    assert decision.status == "skipped"
    assert not decision.promote


def test_figures_of_different_people_are_refused():
    with pytest.raises(ValueError, match="same people"):
        decide(np.zeros(3), np.zeros(2))


def test_a_candidate_proven_worse_is_called_so():
    decision = decide(people(0.1, 400), people(0.2, 400))

    assert decision.status == "rejected"
    assert decision.reason.startswith("worse than recent popularity for 400 people")


def test_questions_are_called_questions():
    decision = decide(people(0.2, 400), people(0.1, 400), asked="questions")

    assert decision.reason.startswith("better than recent popularity for 400 questions")
    assert decision.figures["questions"] == 400
    assert decide(np.zeros(0), np.zeros(0), asked="questions").reason.startswith("nothing to ask")


@pytest.mark.parametrize(
    ("lists", "similar", "lost", "status"),
    [
        ("promoted", "promoted", [], "promoted"),
        ("promoted", "rejected", [], "promoted"),
        ("skipped", "promoted", [], "promoted"),
        ("rejected", "promoted", ["lists"], "rejected"),
        ("promoted", "skipped", ["similar"], "rejected"),
        ("rejected", "rejected", [], "rejected"),
        ("rejected", "rejected", ["lists"], "rejected"),
        ("skipped", "rejected", [], "rejected"),
        ("skipped", "skipped", [], "skipped"),
        ("skipped", "skipped", ["lists", "similar"], "skipped"),
    ],
)
def test_one_good_part_is_enough_unless_a_good_part_would_be_lost(lists, similar, lost, status):
    parts = {"lists": Decision(lists, "so", {}), "similar": Decision(similar, "or so", {})}

    assert decide_artefact(parts, lost).status == status


def test_the_reason_says_how_each_part_did_and_what_would_be_lost():
    parts = {
        "lists": Decision("rejected", "worse than before", {}),
        "similar": Decision("promoted", "better than before", {}),
    }

    assert decide_artefact(parts, ["lists"]).reason == (
        "Lists for people do not pass: worse than before. "
        "Similar products pass: better than before. "
        "The champion stays, since its lists for people would be lost."
    )
    assert "champion" not in decide_artefact(parts).reason
