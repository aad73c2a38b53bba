"""Feature tables: each field worked by hand, and no feature sees a later row."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from app.feature_fields import ACTIVITY, FEATURES, PROFILE, PURCHASES, STATISTICS
from app.history.rows import SCHEMA
from tests.support.repository import ROOT
from training.features.tables import (
    MAX_BOUGHT_COUNT,
    customer_activity,
    customer_tables,
    product_statistics,
    table_schema,
)

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def history(*rows: Mapping[str, object]) -> pl.LazyFrame:
    defaults = {"source": "import", "type": "purchase", "quantity": 1.0}
    complete = [{"row_id": f"r{number}", **defaults, **row} for number, row in enumerate(rows)]
    return pl.LazyFrame(complete, schema=SCHEMA)


def bought(
    customer: str | None, product: str, *, days_ago: float | None, basket: str | None = None, **more: object
) -> dict[str, object]:
    time = None if days_ago is None else AS_OF - timedelta(days=days_ago)
    return {"customer_id": customer, "product_id": product, "time": time, "basket_id": basket, **more}


def profile_of(rows: Sequence[Mapping[str, object]], *, products: pl.LazyFrame | None = None) -> dict[str, Any]:
    return customer_tables(history(*rows), as_of=AS_OF, products=products).profile.to_dicts()[0]


def purchases_of(rows: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    return customer_tables(history(*rows), as_of=AS_OF).purchases.to_dicts()[0]


def product_of(rows: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    return product_statistics(history(*rows), as_of=AS_OF).to_dicts()[0]


TWO_BASKETS = [
    bought("c", "milk", days_ago=10, basket="b1", amount_minor=200),
    bought("c", "bread", days_ago=10, basket="b1", amount_minor=300),
    bought("c", "milk", days_ago=4, basket="b2", amount_minor=250),
]


def test_profile_counts_baskets_lines_and_products() -> None:
    profile = profile_of(TWO_BASKETS)
    assert (profile["basket_count"], profile["line_count"], profile["product_count"]) == (2, 3, 2)


def test_profile_spend_is_money_paid_and_basket_mean_divides_it() -> None:
    profile = profile_of([*TWO_BASKETS, bought("c", "tea", days_ago=91, basket="b0", amount_minor=50)])
    assert (profile["spend_minor"], profile["spend_minor_90d"]) == (800, 750)
    assert profile["basket_mean_minor"] == pytest.approx(800 / 3)


def test_unknown_amounts_give_unknown_spend() -> None:
    profile = profile_of([bought("c", "milk", days_ago=1)])
    assert profile["spend_minor"] is None
    assert profile["basket_mean_minor"] is None


def test_first_and_last_purchase_are_unix_seconds() -> None:
    profile = profile_of(TWO_BASKETS)
    assert profile["first_purchase_at"] == (AS_OF - 10 * DAY).timestamp()
    assert profile["last_purchase_at"] == (AS_OF - 4 * DAY).timestamp()


def test_visit_interval_is_the_mean_gap_between_distinct_days() -> None:
    rows = [bought("c", "milk", days_ago=ago, basket=f"b{ago}") for ago in (10, 9.9, 6, 4)]
    assert profile_of(rows)["visit_interval_days"] == pytest.approx((10 - 4) / 2)
    assert profile_of(rows[:1])["visit_interval_days"] is None


def test_repeat_share_counts_lines_bought_in_an_earlier_basket() -> None:
    assert profile_of(TWO_BASKETS)["repeat_share"] == pytest.approx(1 / 3)


def test_the_same_product_twice_in_one_basket_is_one_line() -> None:
    rows = [bought("c", "milk", days_ago=1, basket="b", amount_minor=100) for _ in range(2)]
    profile = profile_of(rows)
    assert (profile["line_count"], profile["repeat_share"], profile["spend_minor"]) == (1, 0.0, 200)


def test_coupon_share_counts_coupons_and_discounts() -> None:
    rows = [
        bought("c", "a", days_ago=1, basket="b", coupon_id="k"),
        bought("c", "b", days_ago=1, basket="b", discount_minor=5),
        bought("c", "c", days_ago=1, basket="b", discount_minor=0),
        bought("c", "d", days_ago=1, basket="b"),
    ]
    assert profile_of(rows)["coupon_share"] == 0.5


def test_channel_shares_ignore_lines_without_channel() -> None:
    channels = ["store", "web", "web", None, "email"]
    rows = [bought("c", f"p{at}", days_ago=1, channel=channel) for at, channel in enumerate(channels)]
    profile = profile_of(rows)
    assert (profile["share_store"], profile["share_web"], profile["share_app"]) == (0.25, 0.5, 0.0)
    assert profile_of([bought("c", "p", days_ago=1)])["share_store"] is None


def test_home_store_is_where_most_baskets_are_bought() -> None:
    rows = [bought("c", f"p{at}", days_ago=1, basket="b1", store_id="far") for at in range(5)]
    rows += [bought("c", "p", days_ago=ago, basket=f"n{ago}", store_id="near") for ago in (2, 3)]
    assert profile_of(rows)["home_store_id"] == "near"


def test_favourite_departments_are_the_three_with_most_lines() -> None:
    departments = {"a": "DAIRY", "b": "DAIRY", "c": "BAKERY", "d": "DELI", "e": "PET", "f": None}
    products = pl.LazyFrame({"product_id": list(departments), "department": list(departments.values())})
    rows = [bought("c", product, days_ago=1, basket="b") for product in departments]
    assert profile_of(rows, products=products)["favourite_departments"] == ["DAIRY", "BAKERY", "DELI"]
    assert profile_of(rows)["favourite_departments"] == []


def test_customer_who_only_looked_has_a_profile_and_no_purchases() -> None:
    tables = customer_tables(history({**bought("c", "milk", days_ago=1), "type": "view_item"}), as_of=AS_OF)
    assert tables.profile.select("customer_id", "basket_count", "spend_minor").rows() == [("c", 0, None)]
    assert tables.purchases.is_empty()


def test_bought_products_run_in_parallel_strongest_first() -> None:
    purchases = purchases_of(TWO_BASKETS)
    assert purchases["bought_product_ids"] == ["milk", "bread"]
    assert purchases["bought_count"] == [2, 1]
    milk = [2 ** (-10 / half_life) + 2 ** (-4 / half_life) for half_life in (28, 112)]
    assert purchases["bought_weight_28d"] == pytest.approx([milk[0], 2 ** (-10 / 28)])
    assert purchases["bought_weight_112d"] == pytest.approx([milk[1], 2 ** (-10 / 112)])
    today = AS_OF.timestamp() / 86_400
    assert purchases["bought_first_day"] == [today - 10, today - 10]
    assert purchases["bought_last_day"] == [today - 4, today - 10]


def test_without_times_weights_are_counts_and_days_zero() -> None:
    rows = [bought("c", "milk", days_ago=None, basket=basket) for basket in ("b1", "b2")]
    purchases = purchases_of(rows)
    assert purchases["bought_weight_28d"] == purchases["bought_weight_112d"] == purchases["bought_count"] == [2]
    assert purchases["bought_first_day"] == purchases["bought_last_day"] == [0]
    profile = profile_of(rows)
    assert (profile["first_purchase_at"], profile["spend_minor_90d"], profile["repeat_share"]) == (
        None,
        None,
        0.5,
    )


def test_without_baskets_a_day_is_a_basket() -> None:
    rows = [bought("c", "milk", days_ago=ago) for ago in (0.9, 0.8, 2.5)]
    assert purchases_of(rows)["bought_count"] == [2]
    assert profile_of(rows)["basket_count"] == 2


def test_one_basket_id_of_two_customers_is_two_baskets() -> None:
    rows = [bought(customer, "milk", days_ago=1, basket="b") for customer in ("c", "d")]
    assert product_of(rows)["purchase_count"] == 2


def test_only_the_strongest_bought_products_are_kept() -> None:
    rows = [bought("c", f"p{at:05}", days_ago=1 + at / 100) for at in range(MAX_BOUGHT_COUNT + 3)]
    kept = purchases_of(rows)["bought_product_ids"]
    assert (len(kept), kept[0], kept[-1]) == (MAX_BOUGHT_COUNT, "p00000", f"p{MAX_BOUGHT_COUNT - 1:05}")


def test_product_counts_baskets_by_window() -> None:
    rows = [bought(f"c{ago}", "milk", days_ago=ago, basket=f"b{ago}") for ago in (1, 7, 8, 28, 200)]
    product = product_of(rows)
    counts = [product[f"purchase_count{suffix}"] for suffix in ("_7d", "_28d", "")]
    assert counts == [2, 4, 5]
    assert product["last_sold_at"] == (AS_OF - DAY).timestamp()


def test_product_trend_compares_daily_rates() -> None:
    rows = [bought("c", "milk", days_ago=ago, basket=f"b{ago}") for ago in (1, 60, 200)]
    assert product_of(rows)["trend_ratio"] == pytest.approx((1 / 28) / (2 / 112))
    young = [bought("c", "milk", days_ago=ago, basket=f"b{ago}") for ago in (1, 14)]
    assert product_of(young)["trend_ratio"] == pytest.approx(1.0)


def test_repeat_rate_counts_buyers_with_two_baskets() -> None:
    rows = [bought("c", "milk", days_ago=ago, basket=f"b{ago}") for ago in (1, 2)]
    rows += [bought("d", "milk", days_ago=3, basket="b3"), bought(None, "milk", days_ago=4, basket="b4")]
    product = product_of(rows)
    assert (product["purchase_count"], product["buyer_count"], product["repeat_rate"]) == (4, 2, 0.5)


def test_price_mean_is_amounts_over_quantities() -> None:
    rows = [
        bought("c", "milk", days_ago=1, basket="b1", amount_minor=300, quantity=3.0),
        bought("c", "milk", days_ago=2, basket="b2", amount_minor=150, quantity=1.0),
        bought("c", "milk", days_ago=3, basket="b3", quantity=9.0),
    ]
    assert product_of(rows)["price_mean_minor"] == pytest.approx(450 / 4)
    assert product_of(rows[2:])["price_mean_minor"] is None


def test_activity_is_the_last_known_channel_store_and_day() -> None:
    rows = [
        bought("c", "milk", days_ago=2, store_id="s1", channel="store"),
        {**bought("c", "milk", days_ago=0.5, channel="web"), "type": "view_item"},
        {**bought("c", "milk", days_ago=0.2), "type": "add_to_cart"},
    ]
    activity = customer_activity(history(*rows), as_of=AS_OF).to_dicts()[0]
    assert (activity["last_channel"], activity["last_store_id"], activity["event_count_24h"]) == (
        "web",
        "s1",
        2,
    )
    assert activity["last_seen_at"] == (AS_OF - 0.2 * DAY).timestamp()
    assert activity["last_purchase_at_live"] == (AS_OF - 2 * DAY).timestamp()


def test_gap_to_a_competitor_is_known_where_both_prices_are() -> None:
    rows = history(*(bought("c", name, days_ago=1) for name in ("milk", "bread", "tea", "rum")))
    products = pl.LazyFrame(
        {
            "product_id": ["milk", "bread", "tea"],
            "price_minor": [110, None, 90],
            "competitor_price_minor": [100, 80, None],
        }
    )
    known = product_statistics(rows, as_of=AS_OF, products=products)
    gaps = dict(known.select("product_id", "competitor_price_gap").iter_rows())
    assert gaps == {"milk": pytest.approx(0.1, abs=1e-6), "bread": None, "tea": None, "rum": None}


def test_empty_history_gives_empty_tables_with_all_columns() -> None:
    tables = customer_tables(history(), as_of=AS_OF)
    assert tables.profile.schema == table_schema("customer_id", PROFILE)
    assert tables.purchases.schema == table_schema("customer_id", PURCHASES)
    assert product_statistics(history(), as_of=AS_OF).schema == table_schema("product_id", STATISTICS)
    assert customer_activity(history(), as_of=AS_OF).schema == table_schema("customer_id", ACTIVITY)


def test_every_field_has_a_unit_a_description_and_an_owner() -> None:
    assert [field.name for field in FEATURES if not (field.unit and field.description and field.owner)] == []
    assert len({(field.view, field.name) for field in FEATURES}) == len(FEATURES)


def test_the_docs_list_every_field_with_its_unit_and_owner() -> None:
    page = (ROOT / "docs" / "features.md").read_text()
    rows = [
        f"| `{field.name}` | `{field.view}` | {field.kind} | {field.unit} | {field.owner} | {field.description} |"
        for field in FEATURES
    ]
    assert [row for row in rows if row not in page] == []


lines = st.builds(
    bought,
    st.sampled_from(["c", "d", None]),
    st.sampled_from(["milk", "bread", "tea"]),
    days_ago=st.integers(1, 400) | st.none(),
    basket=st.sampled_from(["b1", "b2", None]),
    type=st.sampled_from(["purchase", "purchase", "view_item"]),
    amount_minor=st.integers(1, 500) | st.none(),
    store_id=st.sampled_from(["s1", "s2", None]),
    channel=st.sampled_from(["web", "store", None]),
)
later_lines = st.builds(
    bought, st.sampled_from(["c", "e"]), st.sampled_from(["milk", "rum"]), days_ago=st.integers(-9, 0)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(lines, max_size=12), st.lists(later_lines, min_size=1, max_size=4))
def test_rows_at_or_after_as_of_change_nothing(past: list[dict[str, object]], later: list[dict[str, object]]) -> None:
    known, all_rows = history(*past), history(*past, *later)
    before, after = customer_tables(known, as_of=AS_OF), customer_tables(all_rows, as_of=AS_OF)
    assert_frame_equal(before.profile, after.profile)
    assert_frame_equal(before.purchases, after.purchases)
    assert_frame_equal(product_statistics(known, as_of=AS_OF), product_statistics(all_rows, as_of=AS_OF))
    assert_frame_equal(customer_activity(known, as_of=AS_OF), customer_activity(all_rows, as_of=AS_OF))


@settings(max_examples=30, deadline=None)
@given(st.lists(lines, max_size=12), st.randoms(use_true_random=False))
def test_order_of_rows_changes_nothing(past: list[dict[str, object]], random: Any) -> None:
    numbered = [{**row, "row_id": f"r{number}"} for number, row in enumerate(past)]
    shuffled = random.sample(numbered, len(numbered))
    one, other = (customer_tables(history(*rows), as_of=AS_OF) for rows in (numbered, shuffled))
    assert_frame_equal(one.profile, other.profile)
    assert_frame_equal(one.purchases, other.purchases)
