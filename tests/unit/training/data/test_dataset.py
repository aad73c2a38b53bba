"""History rows become lines, items and a catalogue."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.support.rows import history_of
from training.data.dataset import load_interactions, purchase_pairs

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def row(customer: str | None, product: str, day: float | None = 0, **more: Any) -> dict[str, Any]:
    time = None if day is None else START + timedelta(days=day)
    return {"type": "purchase", "customer_id": customer, "product_id": product, "time": time} | more


def history(*rows: dict[str, Any]) -> pl.LazyFrame:
    return history_of(rows)


def test_items_run_by_buyers_then_id_and_unsold_products_come_last() -> None:
    products = pl.DataFrame({"product_id": ["a", "z", "m"]})
    dataset = load_interactions(history(row("1", "z"), row("2", "z"), row("1", "k"), row("1", "c")), products)
    assert dataset.product_ids == ["z", "c", "k", "a", "m"]
    assert dataset.bought_item_count == 3


def test_two_rows_of_one_basket_are_one_line() -> None:
    dataset = load_interactions(history(row("1", "a", basket_id="x"), row("1", "a", basket_id="x", quantity=2)), None)
    assert dataset.line_count == 1
    assert dataset.quantity.tolist() == [3]


def test_same_basket_name_of_two_customers_is_two_baskets() -> None:
    dataset = load_interactions(history(row("1", "a", basket_id="x"), row("2", "a", basket_id="x")), None)
    assert len(set(dataset.basket.tolist())) == 2


def test_day_is_a_basket_where_none_is_named() -> None:
    dataset = load_interactions(history(row("1", "a", 0), row("1", "b", 0.1), row("1", "a", 1)), None)
    assert np.bincount(dataset.basket).tolist() == [2, 1]


def test_customer_is_one_basket_without_baskets_and_timestamps() -> None:
    dataset = load_interactions(history(row("1", "a", None), row("1", "b", None), row("2", "a", None)), None)
    assert not dataset.has_time
    assert sorted(np.bincount(dataset.basket).tolist()) == [1, 2]


def test_refund_and_negative_quantity_are_no_purchases() -> None:
    rows = history(row("1", "a"), row("1", "b", type="refund"), row("1", "c", quantity=-1))
    assert load_interactions(rows, None).product_ids == ["a"]


def test_views_count_only_where_nothing_was_bought() -> None:
    view = row(None, "v", anonymous_id="dev", type="view_item")
    mixed = load_interactions(history(view, row("1", "a")), None)
    assert (mixed.product_ids, mixed.bought_item_count, mixed.line_count) == (["a", "v"], 1, 1)
    only_views = load_interactions(history(view, row("1", "w", type="remove_from_cart")), None)
    assert only_views.product_ids == ["v"]
    assert only_views.customer_ids == ["dev"]


def test_product_marked_not_recommendable_is_left_out_entirely() -> None:
    products = pl.DataFrame({"product_id": ["a", "fuel", "rest"], "recommendable": ["yes", "No", None]})
    dataset = load_interactions(history(row("1", "a"), row("1", "fuel")), products)
    assert dataset.product_ids == ["a", "rest"]
    assert dataset.line_count == 1


@pytest.mark.parametrize("has_table", [False, True])
def test_what_is_plainly_no_goods_is_left_out_unless_the_table_says_otherwise(*, has_table: bool) -> None:
    rows = history(row("1", "a"), *(row(f"{number}", "POST", amount_minor=10**number) for number in range(1, 11)))
    ids, names = ["a", "POST", "rest"], ["Tea", "Postage", "Cup"]
    products = pl.DataFrame({"product_id": ids, "name": names, "department": ["T", None, "T"]}) if has_table else None
    dataset = load_interactions(rows, products)
    assert dataset.product_ids == (["a", "rest"] if has_table else ["a"])
    assert [(one.product_id, one.is_left_out) for one in dataset.non_goods] == [("POST", True)]
    wanted = pl.DataFrame({"product_id": ["POST"], "recommendable": ["yes"]})
    kept = load_interactions(rows, wanted)
    assert (kept.product_ids, kept.non_goods) == (["POST", "a"], [])


def test_basket_without_customer_is_its_own_customer() -> None:
    dataset = load_interactions(history(row(None, "a", basket_id="x"), row(None, "a", basket_id="y")), None)
    assert len(dataset.customer_ids) == 2


def test_price_comes_from_the_table_else_from_what_was_paid() -> None:
    products = pl.DataFrame({"product_id": ["a", "b", "c"], "price_minor": [500, None, None]})
    rows = history(row("1", "a", amount_minor=100), row("2", "b", quantity=2, amount_minor=300), row("3", "c"))
    dataset = load_interactions(rows, products)
    assert dict(zip(dataset.product_ids, dataset.catalogue.price_minor.tolist(), strict=True)) == {
        "a": 500,
        "b": 150,
        "c": -1,
    }


def test_money_in_another_currency_than_the_history_s_is_unknown() -> None:
    products = pl.DataFrame(
        {
            "product_id": ["a", "b", "c"],
            "currency": ["JPY", "USD", None],
            "price_minor": [500, 400, 300],
            "unit_cost_minor": [70, 60, 50],
        }
    )
    rows = history(
        row("1", "a", currency="USD", amount_minor=450),
        row("2", "b", currency="USD"),
        row("1", "c", currency="USD"),
        row("3", "d", currency="JPY", amount_minor=900),
    )
    catalogue = load_interactions(rows, products).catalogue
    money = zip(catalogue.price_minor.tolist(), catalogue.unit_cost_minor.tolist(), catalogue.is_listed, strict=True)
    assert dict(zip(load_interactions(rows, products).product_ids, money, strict=True)) == {
        "a": (450, -1, False),
        "b": (400, 60, True),
        "c": (300, 50, True),
        "d": (-1, -1, False),
    }
    assert "currency" not in catalogue.attributes


def test_unit_cost_comes_from_the_table_alone() -> None:
    rows = history(row("1", "a", amount_minor=100), row("2", "b"), row("2", "a"))
    products = pl.DataFrame({"product_id": ["a"], "unit_cost_minor": [70]})
    assert load_interactions(rows, products).catalogue.unit_cost_minor.tolist() == [70, -1]
    assert load_interactions(rows, None).catalogue.unit_cost_minor.tolist() == [-1, -1]


def test_attribute_codes_point_into_their_vocabulary() -> None:
    products = pl.DataFrame({"product_id": ["a", "b"], "department": ["DELI", None], "name": ["Ham", "Pen"]})
    dataset = load_interactions(history(row("1", "a"), row("1", "b")), products)
    assert dataset.catalogue.names == ["Ham", "Pen"]
    assert list(dataset.catalogue.attributes) == ["department"]
    assert dataset.catalogue.attributes["department"].codes.tolist() == [0, -1]


def test_what_only_pages_draw_is_no_attribute() -> None:
    drawn = {name: ["/1", "/1"] for name in ("image_url", "url", "rating", "rating_count")}
    products = pl.DataFrame({"product_id": ["a", "b"], "brand": ["own", None], **drawn})
    dataset = load_interactions(history(row("1", "a"), row("1", "b")), products)
    assert list(dataset.catalogue.attributes) == ["brand"]


def test_empty_history_gives_a_dataset_without_lines() -> None:
    dataset = load_interactions(history(), None)
    assert (dataset.line_count, dataset.product_ids, dataset.bought_item_count) == (0, [], 0)


def test_pairs_decay_by_age_and_count_baskets() -> None:
    pairs = purchase_pairs(load_interactions(history(row("1", "a", 0), row("1", "a", 28)), None))
    assert pairs.count.tolist() == [2]
    assert pairs.weight_28d.tolist() == pytest.approx([1.5])
    assert pairs.weight_112d.tolist() == pytest.approx([1 + 2 ** (-28 / 112)])


def test_weights_are_counts_without_timestamps() -> None:
    rows = history(row("1", "a", None, basket_id="x"), row("1", "a", None, basket_id="y"))
    pairs = purchase_pairs(load_interactions(rows, None))
    assert pairs.weight_28d.tolist() == pairs.weight_112d.tolist() == pairs.count.tolist() == [2]
