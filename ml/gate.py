"""The gate: whether a candidate may be served, with the reason in plain words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from ml.intervals import PerQuestion, paired_interval
from ml.parts import AGAIN, NEW, SESSION, SIMILAR

ENOUGH_PEOPLE = 300
WORSE_THAN_CHAMPION = 0.02
#: So much may be lost in all, however many nights it takes.
WORSE_THAN_LINE = 0.05
#: A list may not show less than so much of the share of the catalogue that the champion shows.
COVERAGE_KEPT = 0.5
TITLES = {
    NEW: "lists of products new to people",
    AGAIN: "lists with products met before",
    SESSION: "next products within a visit",
    SIMILAR: "similar products",
}
VERBS = {"promoted": "pass", "rejected": "do not pass", "skipped": "cannot be judged"}


@dataclass(frozen=True)
class Decision:
    """What the gate decided.

    Attributes
    ----------
    status : str
        promoted, rejected, or skipped when there was nothing to judge by.
    reason : str
        For people to read.
    figures : dict of str to float
        Everything the decision was made of.
    """

    status: str
    reason: str
    figures: dict[str, float]

    @property
    def promote(self) -> bool:
        """Whether the candidate may be served."""
        return self.status == "promoted"


def decide(
    candidate: PerQuestion,
    recent_popularity: PerQuestion,
    champion: PerQuestion | None = None,
    *,
    person: npt.NDArray[Any] | None = None,
    standing: float = 1.0,
    coverage: tuple[float, float | None] = (1.0, None),
    asked: str = "people",
    seed: int = 0,
) -> Decision:
    """Judge one list of a candidate by its NDCG@10 per question.

    With at least 300 questions the lower bound of the paired 95 % interval of
    candidate - recent popularity must be above zero. With fewer an interval
    proves little, and the mean must not be lower. In both cases the mean must
    not be more than 2 % below that of the champion's recipe, and the lists must
    show at least half as much of the catalogue.

    Two percent each night would soon be half. So the standing of a candidate is
    kept: that of its champion times the ratio of both, 1 at most. One that is worse
    than its champion must stand no lower than 0.95. Figures of different nights are
    of different questions and are never compared; ratios are of the same ones.

    Parameters
    ----------
    candidate, recent_popularity, champion : ndarray of float64, shape (questions,)
        Figures of the same questions in the same order, all from models fitted
        before the cut. None: there is no champion to compare with.
    person : ndarray of int, shape (questions,), optional
        Whose each question is, see `ml.intervals.paired_interval`.
    standing : float
        The champion's, see above.
    coverage : tuple of float
        Share of the products in somebody's first ten, by the candidate and by the champion.
    asked : {"people", "questions"}
        What the figures are of, for the reason.
    seed : int
        Of the bootstrap.
    """
    if len(candidate) != len(recent_popularity) or (
        champion is not None and len(champion) != len(candidate)
    ):
        raise ValueError("candidate, recent_popularity and champion must be of the same people")
    people = len(candidate)
    if people == 0:
        return Decision("skipped", "there was nobody to ask", {asked: 0})
    mean, low, high = paired_interval(candidate, recent_popularity, seed=seed, person=person)
    figures = {
        asked: people,
        "candidate": float(candidate.mean()),
        "recent_popularity": float(recent_popularity.mean()),
        "difference": mean,
        "difference_low": low,
        "difference_high": high,
    }
    if people >= ENOUGH_PEOPLE:
        passed = low > 0
        word = "better" if passed else "worse" if high < 0 else "not proven better"
        reason = (
            f"{word} than recent popularity for {people} {asked}: "
            f"NDCG@10 {mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
        )
    else:
        passed = mean >= 0
        word = "not worse" if passed else "worse"
        reason = (
            f"{word} than recent popularity (NDCG@10 {mean:+.4f}) for {people} {asked}, "
            f"too few to prove more ({ENOUGH_PEOPLE} needed)"
        )
    if champion is None:
        return Decision("promoted" if passed else "rejected", reason, figures)

    figures["champion"] = float(champion.mean())
    lost = figures["candidate"] < (1 - WORSE_THAN_CHAMPION) * figures["champion"]
    comparison = "more than 2 % below" if lost else "not more than 2 % below"
    reason += (
        f"; {comparison} the champion's recipe "
        f"({figures['candidate']:.4f} against {figures['champion']:.4f})"
    )
    ratio = figures["candidate"] / figures["champion"] if figures["champion"] > 0 else 1.0
    figures["standing"] = min(1.0, standing * ratio)
    if not lost and ratio < 1 and figures["standing"] < 1 - WORSE_THAN_LINE:
        lost = True
        reason += (
            f"; with the trainings before, {1 - figures['standing']:.1%} below the best recipe "
            f"that was served ({WORSE_THAN_LINE:.0%} at most)"
        )
    shown, shown_by_champion = coverage
    if shown_by_champion is not None:
        figures["coverage"], figures["champion_coverage"] = shown, shown_by_champion
        if shown < COVERAGE_KEPT * shown_by_champion:
            lost = True
            reason += (
                f"; its lists show {shown:.1%} of the catalogue, "
                f"less than half of the champion's {shown_by_champion:.1%}"
            )
    return Decision("promoted" if passed and not lost else "rejected", reason, figures)


def decide_artefact(lists: Mapping[str, Decision], lost: Collection[str] = ()) -> Decision:
    """Judge an artefact by its lists.

    It is promoted when at least one list is, and none is lost that the champion
    serves well. Such a list is lost when the champion serves it, the candidate's
    is not promoted, and the champion's recipe, judged by the same questions, is
    not rejected against recent popularity. Where the champion's recipe would not
    pass the gate today either, nothing good is lost. Of a promoted artefact only
    the promoted lists are served.

    Parameters
    ----------
    lists : mapping of str to Decision
        Name of a list, see `ml.parts` → how it was judged.
    lost : collection of str
        Lists that would be lost, see `ml.judge.Judgement`.
    """
    statuses = {decision.status for decision in lists.values()}
    sentences = [
        f"{TITLES[name].capitalize()} {VERBS[decision.status]}: {decision.reason}."
        for name, decision in lists.items()
    ]
    status = "rejected"
    if statuses <= {"skipped"}:
        status = "skipped"
        sentences = sentences or [
            "There is nothing to judge by: in the last days nobody known came back, no visit "
            "went on to a second product, and no two known products were met together."
        ]
    elif "promoted" in statuses and lost:
        names = " and ".join(TITLES[name] for name in lost)
        sentences.append(f"The champion stays, since its {names} would be lost.")
    elif "promoted" in statuses:
        status = "promoted"
    return Decision(status, " ".join(sentences), {})


def decide_serving(decision: Decision, refusal: str | None) -> Decision:
    """Keep a model from being served that takes too much, however good its lists are.

    Parameters
    ----------
    decision : Decision
        Of the artefact.
    refusal : str or None
        See `ml.trial.Trial`.
    """
    if refusal is None or not decision.promote:
        return decision
    return replace(
        decision, status="rejected", reason=f"{decision.reason} Not promoted: {refusal}."
    )
