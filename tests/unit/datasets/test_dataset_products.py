"""The catalogue: read from a file, or derived from the events."""

import pytest

from datasets import DatasetError, MappingError

SALES = (
    "who,what,title,each,at\na,p1,,2,2020-01-05\na,p1,Mug,4,2020-01-05\nb,p2,Vase,0,2020-01-05\n"
)
PRODUCTS = (
    '[products]\nfiles = ["goods.csv"]\n{more}\n[products.columns]\nproduct_id = "id"\n{columns}'
)


def map_products(tiny, columns="", more=""):
    tiny.map(PRODUCTS.format(columns=columns, more=more))
    tiny.write("sales.csv", "who,what,at\na,p1,2020-01-05\n")


def test_every_field_and_the_rest_as_attributes(tiny):
    names = ["name", "category", "price", "gender", "color", "material", "size", "stock"]
    map_products(tiny, "\n".join(f'{name} = "{name}_"' for name in names), 'attributes = ["*"]')
    header = ",".join(f"{name}_" for name in names)
    tiny.write("goods.csv", f"id,{header},brand\np1,Mug,Cups,4.5,women,red,clay,L,12,Acme\n")

    assert tiny.read().products == [
        {
            "product_id": "p1",
            "name": "Mug",
            "category": "Cups",
            "price": 4.5,
            "gender": "women",
            "color": "red",
            "material": "clay",
            "size": "L",
            "stock": 12,
            "attributes": {"brand": "Acme"},
            "active": True,
        }
    ]


def test_what_is_empty_is_left_out(tiny):
    map_products(tiny, 'name = "title"\nprice = "price"', 'attributes = ["brand"]')
    tiny.write("goods.csv", "id,title,price,brand\np1,Mug,,\n,Nothing,1,\n")

    assert tiny.read().products == [
        {"product_id": "p1", "name": "Mug", "attributes": {}, "active": True}
    ]


def test_a_list_gives_its_first_value_to_the_field_and_all_to_the_attributes(tiny):
    map_products(tiny, 'color = "colours"', 'lists = ["colours", "tags"]\nattributes = ["tags"]')
    tiny.write("goods.csv", "id,colours,tags\np1,red|blue,new\np2,green,\n")

    first, second = tiny.read().products

    assert first["color"] == "red"
    assert first["attributes"] == {"colours": ["red", "blue"], "tags": ["new"]}
    assert (second["color"], second["attributes"]) == ("green", {})


def test_a_name_can_be_made_of_columns(tiny):
    map_products(
        tiny, 'category = "kind"', 'name = "{colour} {kind} no. {product_id}"\nlists = ["colour"]'
    )
    tiny.write("goods.csv", "id,kind,colour\np1,skirt,\n")

    assert tiny.read().products[0]["name"] == "skirt no. p1"


def test_a_name_of_an_unknown_column_is_an_error(tiny):
    map_products(tiny, more='name = "{brand}"')
    tiny.write("goods.csv", "id\np1\n")

    with pytest.raises(MappingError, match=r"goods\.csv has no column 'brand' \(needed for name"):
        tiny.read()


def test_a_name_of_a_field_that_is_not_mapped_is_an_error(tiny):
    map_products(tiny, more='name = "{category}"')
    tiny.write("goods.csv", "id\np1\n")

    with pytest.raises(MappingError, match="'category' is none of: id, product_id"):
        tiny.read()


def test_a_name_may_use_a_column_that_nothing_else_uses(tiny):
    map_products(tiny, more='name = "{brand} {product_id}"')
    tiny.write("goods.csv", "id,brand\np1,Acme\n")

    assert tiny.read().products[0]["name"] == "Acme p1"


def test_products_that_only_the_events_name_are_added_and_counted(tiny):
    map_products(tiny, 'name = "title"')
    tiny.write("goods.csv", "id,title\np9,Mug\n")

    dataset = tiny.read()

    assert [item["name"] for item in dataset.products] == ["Mug", "Product p1"]
    assert dataset.notes[0].startswith("1 products are in the events but not in the products file")


@pytest.mark.parametrize("price", ["cheap", "inf"])
def test_a_price_that_is_no_number_is_an_error(tiny, price):
    map_products(tiny, 'price = "price"')
    tiny.write("goods.csv", f"id,price\np1,{price}\n")

    with pytest.raises(DatasetError, match=f"price of product p1 is not a number: '{price}'"):
        tiny.read()


def test_constants_fill_what_no_column_gives(tiny):
    map_products(tiny, more='constants = {gender = "women", stock = 5}')
    tiny.write("goods.csv", "id\np1\n")

    assert tiny.read().products[0] == {
        "product_id": "p1",
        "name": "Product p1",
        "gender": "women",
        "stock": 5,
        "attributes": {},
        "active": True,
    }


def test_products_are_derived_from_the_events(tiny):
    tiny.map(
        '[products]\n[products.columns]\nname = "title"',
        columns='user_id = "who"\nproduct_id = "what"\nunit_price = "each"',
    )
    tiny.write("sales.csv", SALES)

    assert tiny.read().products == [
        {"product_id": "p1", "name": "Mug", "price": 3.0, "attributes": {}, "active": True},
        {"product_id": "p2", "name": "Vase", "attributes": {}, "active": True},
    ]


def test_derived_products_need_columns_that_the_events_have(tiny):
    tiny.map('[products]\nattributes = ["brand"]')
    tiny.write("sales.csv", SALES)

    with pytest.raises(MappingError, match=r"sales\.csv has no column 'brand'"):
        tiny.read()


def test_without_a_product_column_the_catalogue_is_empty(tiny):
    tiny.map(columns='user_id = "who"', kind='constant = "page_view"')
    tiny.write("sales.csv", SALES)

    assert tiny.read().products == []
