"""Rows of files become events: one test for each thing that a mapping can say."""

import json
from datetime import date
from itertools import chain

import pytest

from datasets import DatasetError, MappingError, read_dataset

ONE_ROW = "who,what,at\nann,p1,2020-01-05T10:00:00Z\n"


def test_a_row_becomes_an_event_in_the_native_shape(tiny):
    tiny.map()
    tiny.write("sales.csv", ONE_ROW)

    dataset = tiny.read()

    assert list(dataset.events()) == [
        {
            "message_id": "tiny-2277-1",
            "event_type": "product_view",
            "user_id": "ann",
            "product_id": "p1",
            "occurred_at": "2026-03-31T10:00:00Z",
        }
    ]
    assert (dataset.name, dataset.simulated, dataset.event_count) == ("tiny", False, 1)


def test_events_come_in_time_order_and_end_on_the_last_day(tiny):
    tiny.map()
    tiny.write(
        "sales.csv",
        "who,what,at\nann,p2,2020-01-05T10:00:00Z\nann,p1,2020-01-03T23:59:59Z\n",
    )

    dataset = tiny.read()

    assert [event["occurred_at"] for event in dataset.events()] == [
        "2026-03-29T23:59:59Z",
        "2026-03-31T10:00:00Z",
    ]
    assert (dataset.first_day, dataset.last_day) == (date(2026, 3, 29), date(2026, 3, 31))


def test_events_can_be_read_again_and_are_equal_but_new(tiny):
    tiny.map()
    tiny.write("sales.csv", ONE_ROW)
    dataset = tiny.read()

    first, second = list(dataset.events()), list(dataset.events())

    assert first == second
    assert first[0] is not second[0]


def test_batches_hold_every_event_once(tiny):
    tiny.map()
    tiny.write("sales.csv", ONE_ROW + "ann,p2,2020-01-05T10:00:00Z\n" * 4)
    dataset = tiny.read()

    batches = list(dataset.event_batches(2))

    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert list(chain.from_iterable(batches)) == list(dataset.events())


def test_a_limit_keeps_the_latest_events_and_their_ids(tiny):
    tiny.map()
    tiny.write("sales.csv", ONE_ROW + "bob,p2,2020-01-06T10:00:00Z\ncat,p3,2020-01-04T10:00:00Z\n")
    whole = list(tiny.read().events())

    dataset = tiny.read(limit=2)

    assert list(dataset.events()) == whole[1:]
    assert dataset.event_count == 2
    assert dataset.first_day == date(2026, 3, 30)
    assert "Only the latest 2 of 3 events are read." in dataset.notes


def test_a_limit_below_one_is_refused(tiny):
    tiny.map()
    tiny.write("sales.csv", ONE_ROW)

    with pytest.raises(DatasetError, match="limit must be >= 1, got 0"):
        tiny.read(limit=0)


def test_identical_rows_are_distinct_events(tiny):
    tiny.map()
    tiny.write("sales.csv", ONE_ROW + "ann,p1,2020-01-05T10:00:00Z\n")

    assert tiny.column("message_id") == ["tiny-2277-1", "tiny-2277-2"]


def test_several_compressed_files_are_read_as_one(tiny):
    tiny.map(files="sales-*.csv.gz")
    tiny.write("sales-2.csv.gz", "what,who,at\np2,bob,2020-01-05T11:00:00Z\n")
    tiny.write("sales-1.csv.gz", ONE_ROW)

    assert tiny.column("product_id") == ["p1", "p2"]


def test_ndjson_is_read_with_dotted_names(tiny):
    tiny.map(files="sales.ndjson", columns='user_id = "user.id"\nproduct_id = "what"')
    lines = [
        {"user": {"id": 7}, "what": "p1", "at": "2020-01-05T10:00:00Z"},
        {"user": {"id": 8}, "what": None, "at": "2020-01-05T11:00:00Z"},
    ]
    tiny.write("sales.ndjson", "\n".join(map(json.dumps, lines)) + "\n\n")

    assert tiny.column("user_id") == ["7", "8"]
    assert tiny.column("product_id") == ["p1", None]


def test_encoding_and_delimiter_are_the_mappings(tiny):
    tiny.map(options='encoding = "latin-1"\ndelimiter = ";"')
    tiny.write("sales.csv", "who;what;at\nann;café;2020-01-05T10:00:00Z\n", encoding="latin-1")

    assert tiny.column("product_id") == ["café"]


def test_types_are_translated_and_unwanted_ones_dropped(tiny):
    kind = 'column = "did"\ndrop = ["ping"]\nvalues = {saw = "product_view", bought = "purchase"}'
    tiny.map(kind=kind)
    tiny.write(
        "sales.csv",
        "who,what,at,did\na,p,2020-01-05,saw\na,p,2020-01-05,ping\na,p,2020-01-05,bought\n",
    )

    dataset = tiny.read()

    assert [event["event_type"] for event in dataset.events()] == ["product_view", "purchase"]
    assert "Left out: 1 rows with did 'ping'." in dataset.notes


def test_a_type_that_the_mapping_does_not_name_is_an_error(tiny):
    tiny.map(kind='column = "did"\nvalues = {saw = "product_view"}')
    tiny.write("sales.csv", "who,what,at,did\na,p,2020-01-05,stole\n")

    with pytest.raises(DatasetError, match="column 'did' has the value 'stole'"):
        tiny.read()


def test_unit_price_and_quantity_give_the_value(tiny):
    tiny.map(columns='user_id = "who"\nquantity = "n"\nunit_price = "each"')
    tiny.write("sales.csv", "who,n,each,at\na,3,2.55,2020-01-05\na,,2.5,2020-01-05\n")

    assert tiny.column("quantity") == [3, None]
    assert tiny.column("value") == [7.65, None]


def test_a_value_is_taken_as_it_is(tiny):
    tiny.map(columns='user_id = "who"\nvalue = "stars"', kind='constant = "rate"')
    tiny.write("sales.csv", "who,stars,at\na,4,2020-01-05\n")

    assert tiny.column("value") == [4.0]


def test_what_gives_something_back_is_a_refund_with_positive_amounts(tiny):
    tiny.map(
        "[events.refund]\nnegative_quantity = true\nnegative_price = true\n"
        'column = "bill"\nprefix = "C"',
        columns='user_id = "who"\nquantity = "n"\nunit_price = "each"',
        kind='constant = "purchase"',
    )
    tiny.write(
        "sales.csv",
        "who,n,each,bill,at\n"
        "a,2,5,1,2020-01-05\na,-2,5,2,2020-01-05\na,1,-5,3,2020-01-05\na,1,5,C4,2020-01-05\n",
    )

    assert tiny.column("event_type") == ["purchase", "refund", "refund", "refund"]
    assert tiny.column("quantity") == [2, 2, 1, 1]
    assert tiny.column("value") == [10, 10, 5, 5]


def test_a_negative_amount_that_is_no_refund_is_left_out_and_counted(tiny):
    tiny.map(columns='user_id = "who"\nquantity = "n"')
    tiny.write("sales.csv", "who,n,at\na,-1,2020-01-05\na,1,2020-01-05\n")

    dataset = tiny.read()

    assert dataset.event_count == 1
    assert "Left out: 1 rows with a negative quantity that are no refund." in dataset.notes


def test_rows_are_dropped_by_emptiness_minimum_and_pattern(tiny):
    tiny.map(
        '[[events.drop]]\ncolumn = "what"\nempty = true\n'
        '[[events.drop]]\ncolumn = "n"\nbelow = 1\nreason = "samples"\n'
        '[[events.drop]]\ncolumn = "what"\nmatches = "^test"\n',
    )
    tiny.write(
        "sales.csv",
        "who,what,n,at\n"
        "a,,1,2020-01-05\na,p,0,2020-01-05\na,test1,1,2020-01-05\na,p,1,2020-01-05\n",
    )

    dataset = tiny.read()

    assert dataset.event_count == 1
    assert dataset.notes == [
        "Left out: 1 rows without what.",
        "Left out: 1 samples.",
        "Left out: 1 rows with what ^test.",
    ]


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ("a,1.5,2,2020-01-05", "Left out: 1 rows whose n is not a whole number."),
        ("a,1,cheap,2020-01-05", "Left out: 1 rows whose each is not a number."),
        ("a,1,inf,2020-01-05", "Left out: 1 rows whose each is not a number."),
        ("a,1,2,soon", "Left out: 1 rows whose at is not a time, such as 'soon'."),
        ("a,1e18,2,2020-01-05", "Left out: 1 rows whose n is not a whole number."),
        ("a,1e15,1e300,2020-01-05", "Left out: 1 rows whose value is too large."),
        (",1,2,2020-01-05", "Left out: 1 rows that name no person."),
    ],
)
def test_a_row_that_cannot_be_an_event_is_left_out_and_counted(tiny, row, note):
    tiny.map(columns='user_id = "who"\nquantity = "n"\nunit_price = "each"')
    tiny.write("sales.csv", f"who,n,each,at\n{row}\na,1,2,2020-01-05\n")

    dataset = tiny.read()

    assert dataset.event_count == 1
    assert note in dataset.notes


def test_no_event_left_is_an_error_that_says_why(tiny):
    tiny.map()
    tiny.write("sales.csv", "who,what,at\na,p,soon\n")

    with pytest.raises(
        DatasetError, match=r"no event is left of sales\.csv: 1 rows whose at is not"
    ):
        tiny.read()


def test_a_guest_is_named_only_where_there_is_no_user(tiny):
    tiny.map(columns='user_id = "who"\nguest = "bill"\nsession_id = "bill"')
    tiny.write("sales.csv", "who,bill,at\nann,1,2020-01-05\n,2,2020-01-05\n")

    assert tiny.column("user_id") == ["ann", None]
    assert tiny.column("anonymous_id") == [None, "guest-2"]
    assert tiny.column("session_id") == ["1", "2"]


def test_a_visitor_may_have_both_ids(tiny):
    tiny.map(columns='user_id = "who"\nanonymous_id = "cookie"')
    tiny.write("sales.csv", "who,cookie,at\nann,c1,2020-01-05\n,c2,2020-01-05\n")

    assert tiny.column("user_id") == ["ann", None]
    assert tiny.column("anonymous_id") == ["c1", "c2"]


def test_codes_that_are_no_products_become_entities(tiny):
    tiny.map('[events.codes]\npattern = "p[0-9]"\notherwise = "charge"')
    tiny.write("sales.csv", "who,what,at\na,p1,2020-01-05\na,POST,2020-01-05\n")

    dataset = tiny.read()
    product, charge = dataset.events()

    assert (product["product_id"], "entity_id" in product) == ("p1", False)
    assert (charge["entity_type"], charge["entity_id"]) == ("charge", "POST")
    assert "product_id" not in charge
    assert [item["product_id"] for item in dataset.products] == ["p1"]
    assert dataset.notes[0].startswith("1 events carry a code that is not a product (POST)")


def test_constants_values_and_properties(tiny):
    tiny.map(
        '[events.constants]\nsource = "kiosk"\nproperties = {campaign = "spring"}\n'
        '[events.values.device_type]\nphone = "mobile"\n[events.properties]\ncountry = "land"\n',
        columns='user_id = "who"\ndevice_type = "device"',
    )
    tiny.write("sales.csv", "who,device,land,at\na,phone,FR,2020-01-05\na,tablet,,2020-01-05\n")

    first, second = tiny.read().events()

    assert first["source"] == "kiosk"
    assert (first["device_type"], second["device_type"]) == ("mobile", "tablet")
    assert first["properties"] == {"campaign": "spring", "country": "FR"}
    assert second["properties"] == {"campaign": "spring"}


def test_a_sequence_becomes_an_event_for_each_product(tiny):
    tiny.map(
        '[events.sequence]\ncolumn = "items"\nseparator = "|"\n',
        columns='anonymous_id = "visit"\nsession_id = "visit"',
    )
    tiny.write("sales.csv", "visit,items,at\n1,p1|p2,2020-01-05T10:00:00Z\n2,p1,2020-01-05\n")

    dataset = tiny.read()

    assert [(e["session_id"], e["product_id"]) for e in dataset.events()] == [
        ("2", "p1"),
        ("1", "p1"),
        ("1", "p2"),
    ]
    assert len({event["message_id"] for event in dataset.events()}) == 3


def test_a_mapping_can_be_named(tiny, tmp_path):
    mapping = tiny.map().rename(tmp_path / "other.toml")
    tiny.write("sales.csv", ONE_ROW)

    assert read_dataset(tmp_path, mapping, last_day=date(2026, 1, 1)).last_day == date(2026, 1, 1)


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="nowhere is not a directory"):
        read_dataset(tmp_path / "nowhere", last_day=date(2026, 1, 1))


def test_a_missing_column_is_named_with_its_file_and_those_there_are(tiny):
    tiny.map()
    tiny.write("sales.csv", "who,item,at\n")

    with pytest.raises(MappingError) as error:
        tiny.read()

    assert str(error.value) == (
        "sales.csv has no column 'what' (needed for product_id); its columns are: who, item, at"
    )


def test_a_missing_file_is_named_with_those_there_are(tiny):
    tiny.map()

    with pytest.raises(MappingError, match=r"has no file 'sales.csv'; it has: mapping.toml"):
        tiny.read()


@pytest.mark.parametrize("pattern", ["", "/sales.csv"])
def test_a_pattern_that_names_no_file_of_the_directory_is_an_error(tiny, pattern):
    tiny.map(files=pattern)

    with pytest.raises(MappingError, match="is no pattern of file names"):
        tiny.read()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sales.csv", b""),
        ("sales.csv", b"who,what,at\n\xff,p,2020-01-05\n"),
        ("sales.csv.gz", b"who,what,at\n"),
        ("sales.ndjson", b'{"who":"a","what":"p","at":"2020-01-05"}\n[1]\n'),
        ("sales.ndjson", b"{"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tiny, name, content):
    tiny.map(files=name)
    (tiny.directory / name).write_bytes(content)

    with pytest.raises(DatasetError, match=f"{name} cannot be read"):
        tiny.read()


def test_spaces_around_cells_are_ignored(tiny):
    tiny.map()
    tiny.write("sales.csv", "who, what,at\nann , p1 ,2020-01-05\n \t,p1,2020-01-05\n")

    dataset = tiny.read()

    assert [(e["user_id"], e["product_id"]) for e in dataset.events()] == [("ann", "p1")]
    assert "Left out: 1 rows that name no person." in dataset.notes


def test_cells_beyond_the_header_are_ignored(tiny):
    tiny.map()
    tiny.write("sales.csv", "who,what,at\nann,p1,2020-01-05,x,y\n")

    assert tiny.column("user_id") == ["ann"]


def test_a_short_row_has_empty_cells(tiny):
    tiny.map(time='kind = "order"')
    tiny.write("sales.csv", "who,what\nann\n")

    assert tiny.column("product_id") == [None]
