"""The gate: whether a candidate may be served, with the reason in plain words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ml.evaluate import PerPerson, paired_interval
from ml.parts import LISTS, SIMILAR

ENOUGH_PEOPLE = 300
WORSE_THAN_CHAMPION = 0.02
NOTHING_TO_ASK = {
    "people": (
        "nobody to test with: no known person came back, and nobody met a second product in a visit"
    ),
    "questions": "nothing to ask: nobody met a second product, known before, in the test window",
}
TITLES = {LISTS: "lists for people", SIMILAR: "similar products"}
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
    candidate: PerPerson,
    recent_popularity: PerPerson,
    champion: PerPerson | None = None,
    *,
    asked: str = "people",
    seed: int = 0,
) -> Decision:
    """Judge one part of a candidate by its NDCG@10 per test person.

    With at least 300 people the lower bound of the paired 95 % interval of
    candidate - recent popularity must be above zero. With fewer an interval
    proves little, and the mean must not be lower. In both cases the mean must
    not be more than 2 % below that of the champion's recipe.

    Parameters
    ----------
    candidate, recent_popularity, champion : ndarray of float64, shape (people,)
        Figures of the same people in the same order, all from models fitted
        before the cut. None: there is no champion to compare with.
    asked : {"people", "questions"}
        What the figures are of, for the reason; of each person one question.
    seed : int
        Of the bootstrap.
    """
    if len(candidate) != len(recent_popularity) or (
        champion is not None and len(champion) != len(candidate)
    ):
        raise ValueError("candidate, recent_popularity and champion must be of the same people")
    people = len(candidate)
    if people == 0:
        return Decision("skipped", NOTHING_TO_ASK[asked], {asked: 0})
    mean, low, high = paired_interval(candidate, recent_popularity, seed=seed)
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
    return Decision("promoted" if passed and not lost else "rejected", reason, figures)


def decide_artefact(parts: Mapping[str, Decision], lost: Collection[str] = ()) -> Decision:
    """Judge an artefact by its parts.

    It is promoted when at least one part is, and no part is lost that the
    champion serves well. Such a part is lost when the champion serves it, the
    candidate's is not promoted, and the champion's recipe, judged by the same
    questions, is not rejected against recent popularity. Where the champion's
    recipe would not pass the gate today either, nothing good is lost. Of a
    promoted artefact only the promoted parts are served.

    Parameters
    ----------
    parts : mapping of str to Decision
        Name of a part, see `ml.parts` → how it was judged.
    lost : collection of str
        Parts that would be lost, see `ml.judge.Judgement`.
    """
    statuses = {decision.status for decision in parts.values()}
    sentences = [
        f"{TITLES[part].capitalize()} {VERBS[decision.status]}: {decision.reason}."
        for part, decision in parts.items()
    ]
    status = "rejected"
    if statuses == {"skipped"}:
        status = "skipped"
    elif "promoted" in statuses and lost:
        names = " and ".join(TITLES[part] for part in lost)
        sentences.append(f"The champion stays, since its {names} would be lost.")
    elif "promoted" in statuses:
        status = "promoted"
    return Decision(status, " ".join(sentences), {})
