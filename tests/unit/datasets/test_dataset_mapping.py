"""A mapping is checked at the door, and its errors say where and what."""

import pytest

from datasets import MappingError
from datasets.mapping import read_mapping

WHERE = r"mapping.toml: "


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ("[event]", "unknown key 'event'; known keys: name, events"),
        ("[events.refund]\nnegative = true", "events refund unknown key 'negative'"),
        ("[events.refund]\nnegative_quantity = 1", "must be true or false, got 1"),
        ('[events.refund]\nprefix = "C"', "'column' and 'prefix' go together"),
        ("[events.refund]\nnegative_quantity = true", "needs columns.quantity"),
        ("[events.refund]\nnegative_price = true", "needs columns.unit_price"),
        (
            '[[events.drop]]\ncolumn = "x"',
            "needs exactly one of 'empty = true', 'below', 'matches'",
        ),
        ('[[events.drop]]\ncolumn = "x"\nmatches = "("', "is not a regular expression"),
        ('[events.constants]\ncolour = "red"', "constants: unknown name 'colour'; known names"),
        ("[events.constants]\nproperties = 1", "constants.properties must be a table"),
        ("[events.values.source]\nx = 1", "events values.source.x must be text, got 1"),
        ('[events.values.source]\nx = "web"', "values: unknown name 'source'"),
        ('[events.codes]\npattern = "["', "is not a regular expression"),
        ('[events.sequence]\ncolumn = "x"', "the sequence gives the product_id"),
        ("[products]\nfiles = 1", "products files must be a list, got 1"),
        ('[products]\nfiles = ["a.csv"]', "columns needs product_id"),
        ('[products.columns]\ntitle = "x"', "columns: unknown name 'title'"),
        ('[products]\nname = "{"', "products name '{': "),
        ('[products]\nname = "{}"', "must name a column in each pair of braces"),
        ("[events.type]", "not valid TOML"),
    ],
)
def test_a_wrong_table_is_named(tiny, tables, message):
    path = tiny.map(tables)

    with pytest.raises(MappingError, match=WHERE) as error:
        read_mapping(path)

    assert message in str(error.value)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"columns": 'product_id = "what"'}, "who did it?"),
        ({"columns": 'person = "who"'}, "unknown name 'person'"),
        (
            {"columns": 'user_id = "a"\nvalue = "b"\nunit_price = "c"'},
            "value or unit_price, not both",
        ),
        ({"columns": 'anonymous_id = "a"\nguest = "b"'}, "anonymous_id or guest, not both"),
        ({"kind": ""}, "type needs either 'constant' or 'column'"),
        ({"kind": 'constant = "rate"\ndrop = ["x"]'}, "go with 'column'"),
        ({"time": 'kind = "daily"'}, "kind must be one of iso, unix, date, order, got 'daily'"),
        ({"time": 'kind = "iso"'}, "kind 'iso' needs the key 'column'"),
        ({"time": 'kind = "order"\ncolumn = "n"'}, "name the order column in 'order'"),
        ({"time": 'kind = "order"\ndays = 0'}, "step_s and days must be >= 1"),
        ({"time": 'column = "at"'}, "time needs the key 'kind'"),
        ({"options": "drop = 3"}, "events drop must be a list, got 3"),
        ({"options": "type = 3\n"}, "not valid TOML"),
    ],
)
def test_a_wrong_part_is_named(tiny, parts, message):
    path = tiny.map(**parts)

    with pytest.raises(MappingError, match=WHERE) as error:
        read_mapping(path)

    assert message in str(error.value)


def test_a_mapping_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MappingError, match=r"absent\.toml: cannot be read: No such file"):
        read_mapping(tmp_path / "absent.toml")
