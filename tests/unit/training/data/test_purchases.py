"""What a customer keeps: returns take lines away wherever they come from, voided lines were never bought."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from tests.support.rows import history_of
from training.data.dataset import load_interactions
from training.data.purchases import kept_purchases
from training.features.tables import customer_tables

START = datetime(2026, 3, 1, tzinfo=UTC)
Row = dict[str, object]


def line(day: int, product: str = "tea", **fields: object) -> Row:
    row: Row = {"row_id": f"r{day}", "type": "purchase", "time": START + timedelta(days=day), "customer_id": "ann"}
    return row | {"product_id": product, "quantity": 2.0, "amount_minor": 200, "basket_id": f"b{day}"} | fields


def kept(*rows: Row) -> list[tuple[str, float, int | None]]:
    found = kept_purchases(history_of(rows)).sort("time").collect()
    return list(found.select("basket_id", "quantity", "amount_minor").iter_rows())


@pytest.mark.parametrize(
    "back",
    [
        line(9, type="refund", basket_id="b1"),
        line(9, type="refund", basket_id="b1", customer_id=None, anonymous_id="till"),
        line(9, quantity=-2.0, basket_id="b1"),
        line(9, amount_minor=-200, basket_id="b1"),
    ],
)
def test_return_takes_the_line_of_its_own_basket(back: Row) -> None:
    assert kept(line(1), line(5), back) == [("b5", 2.0, 200)]


def test_return_without_a_basket_takes_the_customer_s_latest_line_before_it() -> None:
    back = line(6, type="refund", basket_id=None)
    assert kept(line(1), line(5), line(9), back) == [("b1", 2.0, 200), ("b9", 2.0, 200)]
    assert kept(line(1), line(9), back) == [("b9", 2.0, 200)]
    assert kept(line(9), back) == [("b9", 2.0, 200)]


def test_return_of_a_part_leaves_the_rest_and_its_share_of_the_price() -> None:
    assert kept(line(1), line(2, type="refund", basket_id="b1", quantity=1.0)) == [("b1", 1.0, 100)]
    assert kept(line(1), line(5), line(7, type="refund", basket_id=None, quantity=3.0)) == [("b1", 1.0, 100)]


def test_return_of_another_product_or_customer_changes_nothing() -> None:
    assert kept(line(1), line(2, "jam", type="refund"), line(3, type="refund", customer_id="bob")) == [("b1", 2.0, 200)]


def test_voided_line_was_never_bought() -> None:
    assert kept(line(1, quantity=0.0), line(2)) == [("b2", 2.0, 200)]


def test_features_and_dataset_hold_what_was_kept() -> None:
    history = history_of(
        [line(1), line(2, "jam"), line(3, type="refund", basket_id="b1"), line(4, "oil", quantity=0.0)]
    )
    profile = customer_tables(history, as_of=START + timedelta(days=9)).profile.to_dicts()[0]
    assert (profile["line_count"], profile["product_count"], profile["spend_minor"]) == (1, 1, 200)
    dataset = load_interactions(history, None)
    assert [dataset.product_ids[item] for item in dataset.item] == ["jam"]


def test_history_without_returns_is_read_as_it_is() -> None:
    rows = history_of([line(day) for day in range(5)])
    assert kept_purchases(rows).collect().equals(rows.collect())
    assert isinstance(kept_purchases(rows), pl.LazyFrame)
