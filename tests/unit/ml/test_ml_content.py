from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from ml import ranking
from ml.catalogue import align_catalogue, attribute_codes, list_products
from ml.content import ContentNeighbours
from ml.dataset import DatasetError
from ml.text import split_words

PRODUCTS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.text(max_size=12) | st.none(),
            "category": st.sampled_from(["bag", "Tasche", "", None]),
            "price": st.floats(allow_nan=True, allow_infinity=True) | st.none(),
            "avg_rating": st.floats(-1, 7) | st.none() | st.just(np.nan),
        }
    ),
    min_size=1,
    max_size=8,
)


def aligned(**columns):
    number = len(next(iter(columns.values())))
    ids = [f"p{at}" for at in range(number)]
    return align_catalogue(pd.DataFrame({"product_id": ids} | columns), ids)


def whole(model):
    return model.similarity(slice(0, len(model.index_)))[0]


def test_the_score_is_seventy_twenty_ten():
    names, prices, ratings = ["red bag", "red hat", "blue bag"], [1.0, 2.0, 6.0], [5.0, 4.0, 2.5]

    model = ContentNeighbours().fit(aligned(name=names, price=prices, avg_rating=ratings))

    text = TfidfVectorizer().fit_transform(names).toarray()
    z = (np.array(prices) - 3) / np.std(prices)
    price = 1 / (1 + np.abs(z[:, None] - z))
    rating = 1 - np.abs(np.array(ratings)[:, None] - ratings) / 5
    assert whole(model) == pytest.approx(0.7 * text @ text.T + 0.2 * price + 0.1 * rating)
    assert model.index_.tolist() == [[1, 2], [0, 2], [0, 1]]
    assert model.shares_words_.tolist() == [[True, True], [True, False], [True, False]]


def test_an_unknown_price_takes_the_average_proximity():
    products = aligned(name=["a b", "a c", "a d", "a e"], price=[1.0, 2.0, 3.0, None])

    model = ContentNeighbours(text_weight=0, price_weight=1, rating_weight=0).fit(products)

    known = whole(model)[:3, :3]
    assert whole(model)[3, :3] == pytest.approx([known.mean()] * 3)
    assert known.min() < model.neutral_price_ < known.max()


def test_without_any_price_or_rating_words_alone_decide():
    products = aligned(name=["red bag", "red hat", "red bag big"])

    assert ContentNeighbours().fit(products).index_[0].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("one", "like", "unlike"),
    [
        ("кожаная сумка", "красная сумка", "синий зонт"),
        ("赤い革の鞄", "黒い革の鞄", "青い傘"),
        ("กระเป๋าหนังสีแดง", "กระเป๋าหนังสีดำ", "ร่มกันฝน"),
        ("चमड़े का थैला", "लाल थैला", "नीली छतरी"),
        ("حقيبة جلدية", "حقيبة حمراء", "مظلة زرقاء"),
        ("가죽 가방", "빨간 가방", "파란 우산"),
    ],
)
def test_names_in_any_script_are_compared(one, like, unlike):
    model = ContentNeighbours().fit(aligned(name=[one, unlike, like]))

    assert model.index_[0].tolist() == [2, 1]
    assert model.shares_words_[0].tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Rote Tasche, 38", ["rote", "tasche", "38"]),
        ("T-Shirt (XL)", ["t", "shirt", "xl"]),
        ("赤い鞄 A4", ["赤い", "い鞄", "a4"]),
        ("傘", ["傘"]),
        ("थैला", ["थैला"]),
        ("\uff32\uff25\uff24 STRASSE straße", ["red", "strasse", "strasse"]),
        ("!!! …", []),
    ],
)
def test_texts_are_split_into_words(text, words):
    assert split_words(text) == words


@given(text=st.text())
def test_splitting_words_again_changes_nothing_and_leaves_no_spaces(text):
    for word in split_words(text):
        assert word
        assert not any(character.isspace() for character in word)


@given(products=PRODUCTS)
def test_similarity_is_symmetric_and_lies_between_zero_and_one(products):
    frame = aligned(**pd.DataFrame(products, dtype=object).to_dict("list"))

    model = ContentNeighbours().fit(frame)

    similarity = whole(model)
    assert np.isfinite(similarity).all()
    assert similarity == pytest.approx(similarity.T, abs=1e-5)
    assert ((similarity >= 0) & (similarity <= 1 + 1e-5)).all()
    assert all(row not in model.index_[row] for row in range(len(products)))


def test_blocks_give_the_same_neighbours_as_one_piece(shop, monkeypatch):
    products = align_catalogue(shop[1], shop[1]["product_id"].tolist())
    whole_model = ContentNeighbours(5).fit(products)

    monkeypatch.setattr(ranking, "CELLS_PER_BLOCK", 100)

    in_blocks = ContentNeighbours(5).fit(products)
    assert (in_blocks.index_ == whole_model.index_).all()
    assert in_blocks.score_ == pytest.approx(whole_model.score_)


def test_a_product_of_which_nothing_is_known_has_no_neighbours():
    model = ContentNeighbours().fit(aligned(name=["red bag", None, "red hat"]))

    assert model.index_.tolist() == [[2, -1], [-1, -1], [0, -1]]


@pytest.mark.parametrize("names", [[], ["red bag"], [None], [None, None], ["!", "?"]])
def test_catalogues_with_nothing_to_compare_give_no_neighbours(names):
    model = ContentNeighbours().fit(aligned(name=names))

    assert (model.index_ == -1).all()


def test_no_neighbours_at_all_are_refused():
    with pytest.raises(ValueError, match="neighbours must be >= 1, got 0"):
        ContentNeighbours(0).fit(aligned(name=["a"]))


def test_a_catalogue_is_brought_into_the_order_of_the_products():
    rows = pd.DataFrame(
        {
            "product_id": ["b", "a", "b", None],
            "name": ["old", "first", "new", "lost"],
            "price": [1.0, -5.0, np.inf, 2.0],
            "avg_rating": [4.0, 9.0, 0.0, 1.0],
            "review_count": [1, None, 0, 1],
        }
    )

    products = align_catalogue(rows, ["a", "b", "c"])

    assert products["name"].tolist() == ["first", "new", ""]
    assert products["price"].isna().all()
    assert products["avg_rating"].tolist()[0] == 5
    assert products["avg_rating"].isna().tolist() == [False, True, True]


def test_products_are_listed_once_from_both_sides():
    assert list_products(pd.DataFrame({"product_id": ["b", "b", None]}), ["c", "a"]) == list("abc")
    with pytest.raises(DatasetError, match="needs product_id"):
        list_products(pd.DataFrame({"sku": []}), [])


def test_equal_values_of_an_attribute_have_equal_codes():
    codes = attribute_codes(
        aligned(category=["Bag", " bag", "other"], color=["red|blue", "BLUE", "a|b|c|d"])
    )

    assert codes[:, :3].tolist() == [[0, -1, -1], [0, -1, -1], [-1, -1, -1]]
    assert codes[:, 6:9].tolist() == [[0, 1, -1], [1, -1, -1], [2, 3, 4]]


def test_a_large_catalogue_is_compared_with_what_is_near_alone(monkeypatch):
    random = np.random.default_rng(4)
    words = np.array([f"w{number}" for number in range(40)])
    products = aligned(
        name=[" ".join(random.choice(words, 3)) for _ in range(60)] + ["", ""],
        price=[*np.round(random.uniform(1, 90, 60), 2), 30.0, np.nan],
        avg_rating=[*random.uniform(1, 5, 61), np.nan],
    )
    every = ContentNeighbours(8).fit(products)

    monkeypatch.setattr("ml.content.MOST_FOR_ALL_PAIRS", 61)
    near = ContentNeighbours(8).fit(products)

    same = [len(np.intersect1d(*pair)) for pair in zip(near.index_, every.index_, strict=True)]
    assert np.mean(same) > 7.8
    shared = near.index_ == every.index_
    assert near.score_[shared] == pytest.approx(every.score_[shared])
    assert (near.shares_words_[shared] == every.shares_words_[shared]).all()
    assert (near.index_[-2] >= 0).all()
    assert (near.index_[-1] == -1).all()
