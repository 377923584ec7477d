from __future__ import annotations

import numpy as np
import pytest

from ml.gate import Decision, decide, decide_artefact
from ml.parts import LISTS, NEW, SIMILAR


def people(mean, number, spread=0.1):
    return mean + spread * np.linspace(-1, 1, number)


def noisy(mean, number):
    noise = np.random.default_rng(0).normal(0, 1, number)
    return people(mean, number) + noise - noise.mean()


@pytest.mark.parametrize(
    ("candidate", "number", "champion", "coverage", "status", "reason"),
    [
        (0.2, 400, None, (1.0, None), "promoted", "better than recent popularity for 400 people"),
        (0.2, 400, 0.2, (0.5, 1.0), "promoted", "not more than 2 % below the champion's recipe"),
        (0.1, 400, None, (1.0, None), "rejected", "not proven better than recent popularity"),
        (0.05, 400, None, (1.0, None), "rejected", "worse than recent popularity for 400 people"),
        (0.1, 299, None, (1.0, None), "promoted", "too few to prove more (300 needed)"),
        (0.09, 299, None, (1.0, None), "rejected", "worse than recent popularity (NDCG@10 -0.01"),
        (0.197, 400, 0.2, (1.0, 1.0), "promoted", "not more than 2 % below the champion's recipe"),
        (0.195, 400, 0.2, (1.0, 1.0), "rejected", "; more than 2 % below the champion's recipe"),
        (0.195, 400, 0.2, (1.0, None), "rejected", "; more than 2 % below the champion's recipe"),
        (0.3, 400, 0.2, (0.49, 1.0), "rejected", "show 49.0% of the catalogue, less than half"),
        (0.3, 299, 0.2, (0.49, 1.0), "rejected", "less than half of the champion's 100.0%"),
    ],
)
def test_the_gate_decides(candidate, number, champion, coverage, status, reason):
    rival = None if champion is None else people(champion, number)

    decision = decide(people(candidate, number), people(0.1, number), rival, coverage=coverage)

    assert decision.status == status
    assert decision.promote == (status == "promoted")
    assert reason in decision.reason
    assert decision.figures["people"] == number


def test_better_by_no_more_than_noise_is_not_proven():
    decision = decide(noisy(0.11, 400), people(0.1, 400))

    assert decision.status == "rejected"
    assert decision.reason.startswith("not proven better")
    assert decision.figures["difference_low"] < 0 < decision.figures["difference_high"]


def test_small_losses_do_not_add_up_night_after_night():
    standing, nights = 1.0, 0
    while nights < 9:
        decision = decide(
            people(0.1966, 400), people(0.1, 400), people(0.2, 400), standing=standing
        )
        if not decision.promote:
            break
        standing, nights = decision.figures["standing"], nights + 1

    assert nights == 2
    assert "5.0% below the best recipe that was served (5% at most)" in decision.reason
    same = decide(people(0.2, 400), people(0.1, 400), people(0.2, 400), standing=0.9)
    better = decide(people(0.21, 400), people(0.1, 400), people(0.2, 400), standing=standing)
    assert same.promote
    assert better.figures["standing"] == 1.0


def test_without_questions_nothing_is_decided():
    decision = decide(np.zeros(0), np.zeros(0), asked="questions")

    assert (decision.status, decision.figures) == ("skipped", {"questions": 0})


def test_figures_of_different_people_are_refused():
    with pytest.raises(ValueError, match="same people"):
        decide(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="same people"):
        decide(np.zeros(3), np.zeros(3), np.zeros(2))


@pytest.mark.parametrize(
    ("new", "similar", "lost", "status"),
    [
        ("promoted", "promoted", [], "promoted"),
        ("promoted", "rejected", [], "promoted"),
        ("skipped", "promoted", [], "promoted"),
        ("rejected", "promoted", [NEW], "rejected"),
        ("promoted", "skipped", [SIMILAR], "rejected"),
        ("rejected", "rejected", [], "rejected"),
        ("skipped", "rejected", [NEW], "rejected"),
        ("skipped", "skipped", [NEW, SIMILAR], "skipped"),
    ],
)
def test_one_good_list_is_enough_unless_a_good_one_would_be_lost(new, similar, lost, status):
    lists = {NEW: Decision(new, "so", {}), SIMILAR: Decision(similar, "or so", {})}

    assert decide_artefact(lists, lost).status == status


def test_the_reason_says_how_each_list_did_and_what_would_be_lost():
    lists = {
        NEW: Decision("rejected", "worse than before", {}),
        SIMILAR: Decision("promoted", "better than before", {}),
    }

    assert decide_artefact(lists, [NEW]).reason == (
        "Lists of products new to people do not pass: worse than before. "
        "Similar products pass: better than before. "
        "The champion stays, since its lists of products new to people would be lost."
    )
    assert "champion" not in decide_artefact(lists).reason
    every = {name: Decision("skipped", "nobody", {}) for name in LISTS}
    assert decide_artefact(every).reason.count("cannot be judged: nobody.") == len(LISTS)


def test_where_no_list_can_be_judged_that_is_said():
    decision = decide_artefact({})

    assert decision.status == "skipped"
    assert decision.reason.startswith("There is nothing to judge by")
