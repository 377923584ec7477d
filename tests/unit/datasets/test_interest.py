"""What training reads of a directory: interactions by task, a catalogue, and questions."""

from __future__ import annotations

import pytest

from datasets import DatasetError, MappingError
from datasets.interest import read_shop
from datasets.layouts import bundled_mappings
from datasets.mapping import read_mapping

SALES = """who,order,what,pieces,each,at
ann,1,mug,1,2.0,2024-05-01T09:00:00Z
ann,1,mug,2,2.0,2024-05-01T09:00:00Z
ann,2,mug,1,2.0,2024-05-02T09:00:00Z
bob,3,cup,-1,3.0,2024-05-02T10:00:00Z
,4,cup,1,3.0,2024-05-02T11:00:00Z
bob,5,cup,1,0.0,2024-05-03T11:00:00Z
"""
COLUMNS = (
    'user_id = "who"\nguest = "order"\nsession_id = "order"\nproduct_id = "what"\n'
    'quantity = "pieces"\nunit_price = "each"'
)
REFUND = "[events.refund]\nnegative_quantity = true\n"
LATER = '[[recommend]]\ntask = "later"\nprotocol = "window"\n'


def interactions(tiny, task=0):
    shop = read_shop(tiny.directory)
    frame = shop.interactions(shop.tasks[task])
    return [(row.user_id, row.product_id, row.weight, row.bought) for row in frame.itertuples()]


def test_lines_of_an_order_are_one_interaction_and_refunds_show_no_interest(tiny):
    tiny.write("sales.csv", SALES)
    tiny.map(REFUND, columns=COLUMNS, kind='constant = "purchase"')

    assert interactions(tiny) == [
        ("ann", "mug", 5.0, True),
        ("ann", "mug", 5.0, True),
        ("guest-4", "cup", 5.0, True),
        ("bob", "cup", 5.0, True),
    ]


def test_a_task_leaves_out_what_it_drops_and_says_so(tiny):
    tiny.write("sales.csv", SALES)
    drop = (
        'drop = [{ column = "who", empty = true }, { column = "each", below = 0.01 }]\n'
        '[[recommend]]\ntask = "all"'
    )
    tiny.map(REFUND + LATER + drop, columns=COLUMNS, kind='constant = "purchase"')

    shop = read_shop(tiny.directory)

    assert [len(interactions(tiny, task)) for task in (0, 1)] == [2, 4]
    assert shop.left_out(shop.tasks[0]) == [
        "Left out: 1 rows without who.",
        "Left out: 1 rows with each below 0.01.",
        "1 events of the type refund have no weight: they are not looked at.",
    ]


def test_stars_weigh_and_too_few_of_them_are_no_liking(tiny):
    tiny.write(
        "sales.csv",
        "who,what,stars,at\nann,a,5,2024-05-01\nann,b,2.5,2024-05-01\nann,c,nan,2024-05-01\n"
        "ann,d,,2024-05-01\nann,e,good,2024-05-01\n",
    )
    tiny.map(
        '[[recommend]]\ntask = "all"\n[[recommend]]\ntask = "liked"\nmin_rating = 4',
        columns='user_id = "who"\nproduct_id = "what"\nvalue = "stars"',
        kind='constant = "rate"',
    )

    all_of_them, liked = interactions(tiny, 0), interactions(tiny, 1)

    assert [line[1:3] for line in all_of_them] == [
        ("a", 2.0),
        ("b", 1.0),
        ("c", 2.0),
        ("d", 2.0),
    ]
    assert [line[1:3] for line in liked] == [("a", 2.0), ("b", 0.0), ("c", 2.0), ("d", 2.0)]


def test_types_of_ones_own_need_weights(tiny):
    tiny.write("sales.csv", "who,what,did,at\nann,a,played,2024-05-01\nann,b,view,2024-05-01\n")
    tiny.map(
        '[[recommend]]\ntask = "known"\n[[recommend]]\ntask = "mine"\nweights = { played = 4 }\n'
        '[[recommend]]\ntask = "none"\nweights = { view = 0 }',
        kind='column = "did"',
    )

    shop = read_shop(tiny.directory)

    assert [line[1:3] for line in interactions(tiny, 0)] == [("b", 1.0)]
    assert [line[1:3] for line in interactions(tiny, 1)] == [("a", 4.0), ("b", 1.0)]
    with pytest.raises(DatasetError, match=r"'none': no interaction is left.*played, view"):
        shop.interactions(shop.tasks[2])


def test_people_may_be_sessions_and_times_may_lie_in_the_far_future(tiny):
    tiny.write("sales.csv", "who,what,at\n,a,9999-12-31\ns1,b,9999-12-30\ns1,,9999-12-30\n")
    tiny.map(columns='anonymous_id = "who"\nsession_id = "who"\nproduct_id = "what"')

    frame = read_shop(tiny.directory).interactions(read_shop(tiny.directory).tasks[0])

    assert frame["user_id"].tolist() == ["s1"]
    assert str(frame["occurred_at"].iloc[0])[:10] == "9999-12-30"


def test_the_catalogue_has_all_values_of_a_list_and_no_price_where_there_is_none(tiny):
    tiny.write("sales.csv", "who,what,at\nann,a,2024-05-01\nann,c,2024-05-01\n")
    tiny.write("goods.csv", "id,colours,price\na,red|blue,NaN\nb,green,2.5\n")
    tiny.map(
        '[products]\nfiles = ["goods.csv"]\nlists = ["colours"]\n[products.columns]\n'
        'product_id = "id"\ncolor = "colours"\nprice = "price"'
    )

    catalogue = read_shop(tiny.directory).catalogue.set_index("product_id")

    assert catalogue["color"].dropna().tolist() == ["red|blue", "green"]
    assert catalogue["price"].isna().tolist() == [True, False, True]


def test_questions_of_a_file_are_read_in_order(tiny):
    tiny.write("sales.csv", "who,what,at\nann,a,2024-05-01\n")
    tiny.write("test.csv", "given,wanted\na b a,c\n,a\nb,b\n")
    tiny.map(
        '[[recommend]]\ntask = "given"\nprotocol = "given"\nfiles = ["test.csv"]\n'
        'prefix = "given"\ntarget = "wanted"'
    )
    shop = read_shop(tiny.directory)

    given, target = shop.questions(shop.tasks[0])

    assert given["product_id"].tolist() == ["a", "b", "a", "b"]
    assert given["question"].tolist() == [0, 0, 0, 1]
    assert target.tolist() == ["c", "b"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('protocol = "random"', "recommend[0] needs the key 'task'"),
        ('task = " "', "recommend[0] task must be a name"),
        ('task = "a"\nprotocl = "window"', "recommend[0] unknown key 'protocl'; known keys: task"),
        ('task = "a"\nprotocol = "split"', "protocol must be one of window, last_out"),
        ('task = "a"\nprotocol = "window"\nshare = 0.2', "'share' goes with protocol 'random' or"),
        ('task = "a"\nprotocol = "window"\ncut = "9.11."', "cut must be a date or time such as"),
        ('task = "a"\nprotocol = "window"\ncut = 7', "cut must be a date or time such as"),
        (
            'task = "a"\nprotocol = "window"\nend = 2024-05-01',
            "'end' and 'validation' need a 'cut'",
        ),
        (
            'task = "a"\nprotocol = "window"\ncut = 2024-05-01\nend = "2024-05-01"',
            "cut must lie before end, got 2024-05-01 and 2024-05-01",
        ),
        (
            'task = "a"\nprotocol = "window"\ncut = 2024-05-01\nvalidation = 2024-06-01T00:00:00Z',
            "validation must lie before cut",
        ),
        ('task = "a"\nprotocol = "visits"\ncut = 2024-05-01\ndays = 3', "takes 'cut' or 'days'"),
        ('task = "a"\nprotocol = "visits"\ndays = nan', "days must be > 0, got nan"),
        ('task = "a"\nprotocol = "visits"\nquestions = 0', "questions must be > 0, got 0"),
        ('task = "a"\nprotocol = "random"\nshare = 1.0', "share must be > 0 and < 1, got 1.0"),
        ('task = "a"\nprotocol = "random"\nseed = -1', "seed must be >= 0, got -1"),
        ('task = "a"\nweights = { view = -1 }', "weights.view must be a number >= 0, got -1"),
        ('task = "a"\nprotocol = "given"', "needs 'files', 'prefix' and 'target'"),
        ('task = "a"\ndrop = [{ column = "x" }]', "drop[0] needs exactly one of"),
        ('task = "a"\n[[recommend]]\ntask = "a"', "two tasks are named 'a'"),
    ],
)
def test_a_wrong_task_is_named(tiny, table, message):
    path = tiny.map(f"[[recommend]]\n{table}")

    with pytest.raises(MappingError) as error:
        read_mapping(path)

    assert message in str(error.value)


def test_files_without_the_columns_of_a_task_are_refused(tiny):
    tiny.write("sales.csv", "who,what,at\nann,a,2024-05-01\n")
    tiny.map('[[recommend]]\ntask = "a"\ndrop = [{ column = "price", below = 1 }]')

    with pytest.raises(MappingError, match=r"sales.csv has no column 'price'"):
        read_shop(tiny.directory)


def test_data_without_products_is_refused(tiny):
    tiny.write("sales.csv", "who,what,at\nann,a,2024-05-01\n")
    tiny.map(columns='user_id = "who"')

    with pytest.raises(MappingError, match="no event names a product"):
        read_shop(tiny.directory)


def test_every_bundled_layout_has_tasks():
    assert all(mapping.recommend for mapping in bundled_mappings())
