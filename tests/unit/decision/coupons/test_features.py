"""The columns of a coupon are those of the formula, whatever other columns there are."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from app.decision.coupons.features import COLUMNS, CouponHabit, coupon_table
from app.decision.customer.context import Context, make_context
from app.domain import Ints, Query
from app.model.bundle import Bundle
from app.model.offer_items import OfferItems, offer_items
from app.ports import CustomerState
from tests.support.coupon_world import START, bundle_from, products
from tests.support.rows import history_of
from training.data.dataset import load_interactions
from training.features.tables import customer_tables
from training.queries.states import states_from_tables

NOW = START + timedelta(days=112)
LINES = [("ann", "p0", 0), ("ann", "p0", 56), ("ann", "p4", 56), ("bob", "p1", 56), ("bob", "p2", 84)]
"""Who bought what on which day; p0 and p4 are kin (department d0, category c0), p2 shares their department."""


def lines() -> pl.LazyFrame:
    return history_of(
        (
            {"customer_id": who, "product_id": what, "basket_id": f"{who}{day}", "time": START + timedelta(days=day)}
            for who, what, day in LINES
        ),
        type="purchase",
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_from(tmp_path_factory.mktemp("bundle"), load_interactions(lines(), products()))


def context_of(bundle: Bundle, who: str) -> Context:
    state = states_from_tables(customer_tables(lines(), as_of=NOW)).get(who, CustomerState())
    return make_context(Query("app_home", 5, NOW, customer_id=who), bundle, state, stale_after_s=86_400)


def items(bundle: Bundle, *product_ids: str) -> Ints:
    return bundle.catalogue.known(product_ids)


def row(
    bundle: Bundle, who: str, offers: OfferItems, *, position: int = 0, habit: CouponHabit | None = None
) -> dict[str, float]:
    table = coupon_table(context_of(bundle, who), offers, habit=habit)
    return dict(zip(COLUMNS, table[position].tolist(), strict=True))


def test_columns_of_a_hand_worked_coupon(bundle: Bundle) -> None:
    popularity = np.zeros(bundle.item_count, np.float32)
    popularity[items(bundle, "p0")] = 0.5
    offers = offer_items(
        bundle,
        [items(bundle, "p0", "p2")],
        discount_ratio=np.array([0.2], np.float32),
        sibling_count=np.array([9], np.float32),
        popularity=popularity,
    )
    found = row(bundle, "ann", offers, habit=CouponHabit(2, 4))
    half = 2**-0.5
    expected = {
        "own_count": np.log1p(2),
        "own_recent": np.log1p(0.5 + half),
        "own_value": np.log1p(2 * 100),
        "own_last": 0.5,
        "kin": np.log1p(3),
        "kin_share": np.log1p((0.5 + 2 * half) / 2),
        "category": np.log1p((0.5 + 2 * half) / 2),
        "department": np.log1p(0.5 + 2 * half),
        "breadth": np.log1p(2),
        "popular": np.log1p(50),
        "price": np.log1p(200),
        "siblings": np.log1p(9),
        "discount": 0.2,
        "activity": np.log1p(0.5 + 2 * half),
        "visits": np.log1p(2),
        "reduced_share": 0.0,
        "redemption_rate": np.log(2.3 / 5),
    }
    assert found == pytest.approx(expected, rel=1e-5)


def test_person_nobody_knows_has_no_purchases_and_unknown_habits(bundle: Bundle) -> None:
    found = row(bundle, "nobody", offer_items(bundle, [items(bundle, "p0", "p1")]))
    assert [found[name] for name in COLUMNS[:8]] == [0.0] * 8
    assert found["activity"] == 0
    assert np.isnan(
        [found[name] for name in ("visits", "reduced_share", "redemption_rate", "siblings", "discount")]
    ).all()


def test_offer_without_a_known_product_has_a_row_of_its_own(bundle: Bundle) -> None:
    offers = offer_items(bundle, [items(bundle, "never sold"), items(bundle, "p0")])
    assert row(bundle, "ann", offers)["own_count"] == 0
    assert row(bundle, "ann", offers)["kin"] == 0
    assert np.isnan(row(bundle, "ann", offers)["price"])
    assert row(bundle, "ann", offers, position=1)["own_count"] == pytest.approx(np.log1p(2))


def test_no_offers_give_no_rows(bundle: Bundle) -> None:
    assert coupon_table(context_of(bundle, "ann"), offer_items(bundle, [])).shape == (0, len(COLUMNS))


def test_many_offers_at_once_have_the_columns_of_each_alone(bundle: Bundle) -> None:
    random = np.random.default_rng(3)
    many = [random.choice(bundle.item_count, random.integers(0, 9)).astype(np.int32) for _ in range(40)]
    together = coupon_table(context_of(bundle, "ann"), offer_items(bundle, many))
    alone = np.concatenate([coupon_table(context_of(bundle, "ann"), offer_items(bundle, [one])) for one in many])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_order_and_repetition_of_products_do_not_matter(bundle: Bundle) -> None:
    ordered = offer_items(bundle, [items(bundle, "p0", "p2", "p4")])
    shuffled = offer_items(bundle, [items(bundle, "p4", "p0", "p2", "p0")])
    context = context_of(bundle, "ann")
    np.testing.assert_array_equal(coupon_table(context, ordered), coupon_table(context, shuffled))


def test_catalogue_without_attributes_leaves_likeness_unknown(bundle: Bundle) -> None:
    bare = replace(bundle, catalogue=replace(bundle.catalogue, attributes={}))
    found = row(bare, "ann", offer_items(bare, [items(bare, "p0")]))
    assert [found[name] for name in ("kin", "kin_share", "category", "department")] == [0.0] * 4
    assert found["own_count"] == pytest.approx(np.log1p(2))
