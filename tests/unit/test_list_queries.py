"""Queries of lists, checked once each."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from werkzeug.exceptions import UnprocessableEntity

from app.recommend.queries import RememberingParser
from app.schemas.recommendations import PersonQuery, ProductQuery, SessionQuery

PERSON, PRODUCT = PersonQuery(), ProductQuery()


def parse(parser: RememberingParser, query: str, *, schema: Any = PERSON) -> dict[str, Any]:
    with Flask(__name__).test_request_context(f"/?{query}"):
        made: dict[str, Any] = parser.parse(schema, location="query")
        return made


def test_a_query_that_comes_again_is_read_as_before():
    parser = RememberingParser()

    first = parse(parser, "n=3&category=Books,Toys&min_price=1.5")
    again = parse(parser, "n=3&category=Books,Toys&min_price=1.5")

    assert first == again
    assert (again["n"], again["category"]) == (3, ["Books", "Toys"])
    assert again["min_price"] == Decimal("1.5")


def test_what_a_view_does_with_its_query_is_not_remembered():
    parser = RememberingParser()
    parse(parser, "n=3").clear()

    assert parse(parser, "n=3")["n"] == 3


def test_one_query_says_to_each_schema_what_it_means_there():
    parser = RememberingParser()

    assert "exclude_seen" in parse(parser, "n=3")
    assert "exclude_seen" not in parse(parser, "n=3", schema=PRODUCT)


def test_a_query_that_cannot_be_used_is_refused_each_time():
    parser = RememberingParser()

    for _ in range(2):
        with pytest.raises(UnprocessableEntity):
            parse(parser, "n=0")


def test_many_and_long_queries_take_no_more_room():
    parser = RememberingParser()
    for number in range(1000):
        parse(parser, f"exclude=product-{number}")
    long = ",".join(f"product-{number}" for number in range(100))

    assert parse(parser, f"exclude={long}")["left_out"] == long.split(",")
    assert len(parser._made) <= 256
    assert all(len(query) <= 256 for _, query in parser._made)


def test_a_query_that_names_somebody_is_not_remembered():
    parser = RememberingParser()

    assert parse(parser, "anonymous_id=me", schema=SessionQuery())["anonymous_id"] == "me"
    assert parser._made == {}
