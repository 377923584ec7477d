from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.blend import Blend
from ml.catalogue import align_catalogue
from ml.content import ContentNeighbours
from ml.dataset import DAY_S, build_interactions
from ml.evaluate import evaluate
from ml.protocol import MOST_JUDGED, choose_split, explain
from ml.recipe import Recipe
from ml.split import RETURNING
from ml.train import train
from ml.tune import tune
from ml.visits import WITHIN_VISIT, split_visits

START = pd.Timestamp("2026-01-01", tz="UTC")
CUT_DAY = 5
CUT = START.timestamp() + CUT_DAY * DAY_S
NOTHING = pd.DataFrame({"product_id": []})

MEETINGS = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 4), st.integers(0, 9), st.sampled_from([1.0, 1.0, -1.0])
    ),
    min_size=1,
    max_size=60,
)


def build(meetings):
    """Build interactions from (user, product, day[, weight]), in the order of the rows."""
    full = [(*meeting, 1.0)[:4] for meeting in meetings]
    rows = pd.DataFrame(full, columns=["user_id", "product_id", "day", "weight"])
    times = START + pd.to_timedelta(rows.pop("day"), unit="D")
    return build_interactions(rows.assign(occurred_at=times))


def pairs_of(data, matrix):
    return {(int(data.user_ids[u]), int(data.product_ids[p])) for u, p in np.argwhere(matrix)}


def ask(meetings):
    """Say in a plain loop what each person is asked for, and what is known of them by then."""
    known = {product for _, product, day, _ in meetings if day < CUT_DAY}
    truth, seen = set(), {}
    for user in {meeting[0] for meeting in meetings}:
        story = sorted((m for m in meetings if m[0] == user), key=lambda meeting: meeting[2])
        for at, (_, product, day, weight) in enumerate(story):
            before = story[:at]
            is_new = product not in {meeting[1] for meeting in before}
            begun = any(meeting[2] >= CUT_DAY for meeting in before)
            if is_new and day >= CUT_DAY and weight > 0:
                seen[user] = {meeting[1] for meeting in before} if begun else None
                truth = {pair for pair in truth if pair[0] != user}
                if begun and product in known:
                    truth.add((user, product))
    return truth, {(user, p) for user, products in seen.items() if products for p in products}


@given(meetings=MEETINGS)
def test_the_last_new_product_of_a_visit_is_asked_for_and_what_came_before_is_known(meetings):
    data = build(meetings)

    split = split_visits(data, CUT)

    truth, seen = ask(meetings)
    assert pairs_of(data, split.truth) == truth
    assert pairs_of(data, split.seen) == seen
    assert {int(data.user_ids[u]) for u in split.people} == {user for user, _ in truth}


@given(meetings=MEETINGS)
def test_nothing_of_the_window_is_learned_from_and_nothing_asked_for_is_known(meetings):
    split = split_visits(build(meetings), CUT)

    assert (split.train.time < CUT).all()
    assert len(split.train) == sum(meeting[2] < CUT_DAY for meeting in meetings)
    assert split.truth.multiply(split.seen).nnz == 0
    assert (split.history.time <= CUT).all()


def test_what_comes_at_or_after_the_end_is_in_neither_part():
    data = build([(9, 1, 0), (9, 2, 0), (1, 1, 6), (1, 2, 7), (1, 9, 8)])

    split = split_visits(data, CUT, end=CUT + 3 * DAY_S)

    assert pairs_of(data, split.truth) == {(1, 2)}


def test_of_one_day_the_order_of_the_rows_says_what_came_last():
    first = [(9, 1, 0), (9, 2, 0), (9, 3, 0)]
    forth, back = build([*first, (1, 3, 7), (1, 1, 7)]), build([*first, (1, 1, 7), (1, 3, 7)])

    assert pairs_of(forth, split_visits(forth, CUT).truth) == {(1, 1)}
    assert pairs_of(back, split_visits(back, CUT).truth) == {(1, 3)}


def test_ages_are_those_at_the_moment_of_the_truth():
    data = build([(1, 1, 2), (1, 2, 6), (1, 3, 9), (9, 3, 0)])

    split = split_visits(data, CUT)

    assert ((CUT - split.history.time) / DAY_S).tolist() == [7, 3]


def test_the_share_of_visits_that_end_with_a_product_nobody_knew_is_reported():
    data = build([(9, 1, 0), (9, 2, 0), (1, 1, 6), (1, 2, 6), (2, 1, 6), (2, 7, 6)])

    assert split_visits(data, CUT).unknown_share == 0.5


def test_an_impossible_window_is_refused():
    with pytest.raises(ValueError, match="cut must be < end"):
        split_visits(build([(1, 1, 0)]), 2.0, end=1.0)


def test_thirty_people_who_come_back_are_enough_and_twenty_nine_are_not():
    many = [(user, product, day) for user in range(30) for product, day in ((1, 0), (2, 6), (3, 6))]
    many += [(99, product, 0) for product in (1, 2, 3)]

    enough, too_few = (
        choose_split(build(many), CUT),
        choose_split(build(many[3:] + visits(40)), CUT),
    )

    assert (enough.protocol, len(enough.people)) == (RETURNING, 30)
    assert explain(enough) == "judged by the later products of people known before"
    assert too_few.protocol == WITHIN_VISIT
    assert explain(too_few).endswith("since fewer than 30 known people came back")


def test_a_few_people_who_come_back_are_better_than_nobody():
    few = [(user, product, day) for user in range(3) for product, day in ((1, 0), (2, 6))]

    split = choose_split(build([*few, (9, 2, 0)]), CUT)

    assert (split.protocol, len(split.people)) == (RETURNING, 3)


def test_no_more_people_are_judged_than_needed():
    data = build(visits(MOST_JUDGED + 10))

    one, other = choose_split(data, CUT, seed=1), choose_split(data, CUT, seed=1)

    assert len(one.people) == MOST_JUDGED
    assert one.people.tolist() == other.people.tolist()


def test_the_models_that_are_judged_have_learned_nothing_from_the_visits(session_shop):
    data, catalogue = session_shop
    cut = data.time.max() - 6 * DAY_S
    split = choose_split(data, cut)
    content = ContentNeighbours().fit(align_catalogue(catalogue, data.product_ids))

    judged = Blend(Recipe()).fit(split.train, content, now=cut, history=split.history)

    before = data.take(data.time < cut)
    plain = Blend(Recipe()).fit(before, content, now=cut)
    assert split.protocol == WITHIN_VISIT
    assert (judged.table_ != plain.table_).nnz == 0
    assert (judged.popularity_.score_ == plain.popularity_.score_).all()
    assert (judged.history_ != plain.history_).nnz > 0


def test_another_truth_changes_no_score_of_a_visit(session_shop):
    data, catalogue = session_shop
    cut = data.time.max() - 6 * DAY_S
    split = split_visits(data, cut)
    content = ContentNeighbours().fit(align_catalogue(catalogue, data.product_ids))
    last = np.unique(data.user[::-1], return_index=True)[1]
    asked = np.zeros(len(data), dtype=bool)
    asked[len(data) - 1 - last] = True
    asked &= (data.time >= cut) & (data.time < data.time.max())
    other = data.product.copy()
    other[asked] = (other[asked] + 1) % data.shape[1]

    changed = split_visits(replace(data, product=other), cut)

    both = np.intersect1d(split.people, changed.people)
    untouched = [u for u in both if (split.seen[[u]] != changed.seen[[u]]).nnz == 0]
    one, two = (
        Blend(Recipe()).fit(part.train, content, now=cut, history=part.history)
        for part in (split, changed)
    )
    assert len(untouched) > 20
    assert (split.truth[untouched] != changed.truth[untouched]).nnz > 20
    assert (one.score(np.array(untouched)) == two.score(np.array(untouched))).all()


def test_a_shop_that_nobody_comes_back_to_is_judged_within_the_visit(session_shop, noon):
    result = train(*session_shop, now=noon)

    assert result.status == "promoted"
    assert "judged by the next product within a visit" in result.reason
    assert result.manifest["reason"] == result.reason
    assert result.manifest["window"]["protocol"] == "next product within a visit"
    assert result.manifest["window"]["exclude_seen"] is True
    assert result.manifest["recipe"] != Recipe().to_dict()
    assert result.metrics["ndcg_at_10"] > 2 * result.baselines["recent_popularity"]["ndcg_at_10"]
    assert train(*session_shop, now=noon).artefact == result.artefact


def test_a_habit_that_only_the_test_window_shows_is_not_known_to_the_judged_models(
    session_shop, noon
):
    data, catalogue = session_shop
    honest = train(data, catalogue, now=noon)
    cut = pd.Timestamp(honest.manifest["window"]["test_from"]).timestamp()
    visits, at = np.unique(data.user[data.time >= cut], return_inverse=True)
    step = pd.Series(at).groupby(at).cumcount().to_numpy()
    habit = data.product.copy()
    # From group to group, which nobody did before; each visit begins with another group.
    habit[data.time >= cut] = at % 10 + 10 * ((at // 10 + step) % 4)

    result = train(replace(data, product=habit), catalogue, now=noon)

    assert len(visits) > 40
    assert result.manifest["recipe"] == honest.manifest["recipe"]
    assert result.baselines["behaviour"]["ndcg_at_10"] < 0.1
    assert result.similar_baselines["behaviour"]["ndcg_at_10"] < 0.1


def test_tuning_asks_what_the_test_will_ask(session_shop):
    assert tune_visits(*session_shop, protocol=RETURNING) == Recipe()
    assert tune_visits(*session_shop, protocol=WITHIN_VISIT) != Recipe()


def test_where_visits_show_no_taste_popularity_gets_its_share(session_shop):
    data, catalogue = session_shop
    random = np.random.default_rng(5)
    chance = random.choice(40, len(data), p=np.arange(1, 41) / 820).astype(np.int32)

    recipe = tune_visits(replace(data, product=chance), catalogue, protocol=WITHIN_VISIT)

    assert recipe.popularity_share > 0


def test_a_narrower_model_is_the_one_that_fewer_neighbours_would_have_given(shop):
    data, catalogue = shop
    content = ContentNeighbours().fit(align_catalogue(catalogue, data.product_ids))
    recipe = Recipe(behaviour_neighbours=3, content_weight=0.7)

    varied = (
        Blend(Recipe())
        .fit(data, content, now=CUT)
        .vary(content, behaviour_neighbours=3, content_weight=0.7)
    )

    assert varied.recipe == recipe
    assert (
        varied.score(np.arange(9)) == Blend(recipe).fit(data, content, now=CUT).score(np.arange(9))
    ).all()


def test_figures_of_visits_are_those_of_a_plain_count(session_shop):
    data, _ = session_shop
    split = split_visits(data, data.time.max() - 6 * DAY_S)
    score = np.bincount(split.train.product, minlength=data.shape[1]).astype(np.float32)

    found = evaluate(lambda people: np.tile(score, (len(people), 1)), split)

    ranks = []
    for person in split.people:
        rest = np.where(split.seen[[person]].toarray()[0], -np.inf, score)
        order = np.argsort(-rest, kind="stable").tolist()
        ranks.append(order.index(int(split.truth[[person]].toarray()[0].argmax())))
    assert found.reciprocal_rank == pytest.approx([1 / (rank + 1) for rank in ranks])


def visits(number):
    """So many people who are met once, after the cut, and know two products."""
    once = [(1000 + user, product, 6) for user in range(number) for product in (1, 2)]
    return [*once, (999, 1, 0), (999, 2, 0)]


def tune_visits(data, catalogue, *, protocol):
    content = ContentNeighbours().fit(align_catalogue(catalogue, data.product_ids))
    cut = data.time.max() - 6 * DAY_S
    return tune(data, content, cut=cut, window_s=6 * DAY_S, protocol=protocol)
