"""The gate: whether a candidate may be served, with the reason in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from ml.evaluate import PerPerson, paired_interval

ENOUGH_PEOPLE = 300
WORSE_THAN_CHAMPION = 0.02
NOBODY = (
    "nobody to test with: no known person came back, and nobody met a second product in a visit"
)


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
    seed: int = 0,
) -> Decision:
    """Judge a candidate by its NDCG@10 per test person.

    With at least 300 people the lower bound of the paired 95 % interval of
    candidate - recent popularity must be above zero. With fewer an interval
    proves little, and the mean must not be lower. In both cases the mean must
    not be more than 2 % below that of the champion's recipe.

    Parameters
    ----------
    candidate, recent_popularity, champion : ndarray of float64, shape (people,)
        Figures of the same people in the same order, all from models fitted
        before the cut. None: there is no champion to compare with.
    seed : int
        Of the bootstrap.
    """
    if len(candidate) != len(recent_popularity) or (
        champion is not None and len(champion) != len(candidate)
    ):
        raise ValueError("candidate, recent_popularity and champion must be of the same people")
    people = len(candidate)
    if people == 0:
        return Decision("skipped", NOBODY, {"people": 0})
    mean, low, high = paired_interval(candidate, recent_popularity, seed=seed)
    figures = {
        "people": people,
        "candidate": float(candidate.mean()),
        "recent_popularity": float(recent_popularity.mean()),
        "difference": mean,
        "difference_low": low,
        "difference_high": high,
    }
    if people >= ENOUGH_PEOPLE:
        passed = low > 0
        word = "better" if passed else "not proven better"
        reason = (
            f"{word} than recent popularity for {people} people: "
            f"NDCG@10 {mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
        )
    else:
        passed = mean >= 0
        word = "not worse" if passed else "worse"
        reason = (
            f"{word} than recent popularity (NDCG@10 {mean:+.4f}) for {people} people, "
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
