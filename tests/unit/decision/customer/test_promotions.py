"""Promotions in a decision: columns, candidates and reasons of the store that the customer is in, or mostly is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.decision.candidates.sources import promotion
from app.decision.customer.context import Context, make_context
from app.decision.pipeline import Options, rank
from app.decision.ranking.features import ALL_COLUMNS, PROMOTION_COLUMNS, ROW, TABLE_COLUMNS, feature_table
from app.domain import CustomerFeatures, ProductId, Query
from app.feature_fields import product_key
from app.model.bundle import Bundle, current_version, load_bundle
from app.model.promotions.calendar import PromotionCalendar
from app.ports import CustomerState
from tests.support.world import World, customer
from tests.unit.model.promotions.test_calendar import BOTH, DISPLAY, FLYER, NEITHER, WEEK, calendar

NOW = datetime(2026, 10, 1, tzinfo=UTC)
THIS = int(NOW.timestamp() // 60)


@pytest.fixture(scope="session")
def plain(trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    return load_bundle(folder / current_version(folder))


@pytest.fixture
def bundle(plain: Bundle) -> Bundle:
    """Store n has items 1 and 2 on promotion now, and had 2 a week ago; store s has 3 now."""
    known = calendar(
        (1, 0, THIS, THIS + WEEK, BOTH),
        (2, 0, THIS, THIS + WEEK, NEITHER),
        (2, 0, THIS - WEEK, THIS, FLYER),
        (3, 1, THIS, THIS + WEEK, DISPLAY),
        item_count=plain.item_count,
    )
    return replace(plain, promotions=known)


def context(bundle: Bundle, *, store_id: str | None = None, home: str | None = None, now: datetime = NOW) -> Context:
    nothing = np.zeros(0, np.float32)
    scalars = {} if home is None else {"home_store_id": home}
    features = CustomerFeatures(NOW.timestamp(), scalars, np.zeros(0), *[nothing] * 5)
    query = Query(placement="app_home", size=3, now_at=now, customer_id="x", store_id=store_id)
    return make_context(query, bundle, CustomerState(features=features), stale_after_s=1e9)


def columns(found: Context) -> dict[str, list[float]]:
    """The promotions' columns of items 0 to 4."""
    table = feature_table(found, np.arange(5, dtype=np.int32))
    return {name: table[ROW[name]].tolist() for name in PROMOTION_COLUMNS}


def test_columns_say_what_is_on_promotion_in_the_store_and_where_else(bundle: Bundle) -> None:
    found = columns(context(bundle, home="n"))
    assert found["promoted"] == [0, 1, 1, 0, 0]
    assert found["on_display"] == [0, 1, 0, 0, 0]
    assert found["in_flyer"] == [0, 1, 0, 0, 0]
    assert found["promoted_before"] == [0, 0, 1, 0, 0]
    assert found["promoted_share"] == [0, 0.5, 0.5, 0.5, 0]
    assert found["display_share"] == [0, 0.5, 0, 0.5, 0]
    assert found["flyer_share"] == [0, 0.5, 0, 0, 0]
    assert isinstance(bundle.promotions, PromotionCalendar)
    assert found["promotion_lift"] == bundle.promotions.lift[:5].tolist()


def test_the_store_of_the_request_overrules_the_usual_one_and_an_unknown_one_has_none(bundle: Bundle) -> None:
    assert columns(context(bundle, store_id="s", home="n"))["promoted"] == [0, 0, 0, 1, 0]
    assert columns(context(bundle, store_id="other", home="n"))["promoted"] == [0] * 5
    assert columns(context(bundle))["promoted"] == [0] * 5
    assert columns(context(bundle))["promoted_share"] == [0, 0.5, 0.5, 0.5, 0]


def test_outside_the_known_weeks_nothing_is_on_promotion(bundle: Bundle) -> None:
    found = columns(context(bundle, home="n", now=NOW + timedelta(days=70)))
    assert all(not any(found[name]) for name in PROMOTION_COLUMNS if name != "promotion_lift")


def test_without_promotions_a_decision_has_no_column_and_no_candidate_of_them(plain: Bundle) -> None:
    found = context(plain, home="n")
    assert len(feature_table(found, np.arange(5, dtype=np.int32))) == len(TABLE_COLUMNS)
    assert not len(promotion(found, None))
    assert len(ALL_COLUMNS) == len(TABLE_COLUMNS) + len(PROMOTION_COLUMNS)


def test_what_is_on_promotion_in_the_store_is_a_candidate_where_it_passes_the_filters(bundle: Bundle) -> None:
    found = context(bundle, home="n")
    assert sorted(promotion(found, None).tolist()) == [1, 2]
    allowed = np.ones(bundle.item_count, np.bool_)
    allowed[2] = False
    assert promotion(found, allowed).tolist() == [1]


def test_a_promotion_is_the_reason_where_only_taste_or_a_trend_would_be(bundle: Bundle, plain: Bundle) -> None:
    query = Query(placement="app_home", size=bundle.item_count, now_at=NOW, customer_id="new", store_id="n")
    options = Options(stale_after_s=1e9)
    reasons = {row.product_id: row.reasons[0] for row in rank(query, bundle, CustomerState(), options).propositions}
    before = {row.product_id: row.reasons[0] for row in rank(query, plain, CustomerState(), options).propositions}
    promoted = set(bundle.catalogue.product_ids[1:3])
    assert {name for name, reason in reasons.items() if reason.code == "on_promotion"} == promoted
    assert reasons[ProductId(bundle.catalogue.product_ids[1])].text == "On promotion this week"
    assert {name: reason for name, reason in reasons.items() if name not in promoted} == {
        name: reason for name, reason in before.items() if name not in promoted
    }


def test_what_the_customer_buys_anyway_keeps_its_own_reason(bundle: Bundle) -> None:
    item = bundle.catalogue.product_ids[1]
    last_day = NOW.timestamp() // 86_400 - 3
    bought = np.array([9], np.float32)
    first, last = (np.array([day], np.float32) for day in (last_day - 80, last_day))
    features = CustomerFeatures(
        NOW.timestamp(), {"home_store_id": "n"}, np.array([product_key(item)]), bought, bought, bought, first, last
    )
    query = Query(placement="app_home", size=5, now_at=NOW, customer_id=customer("tea", 1))
    slate = rank(query, bundle, CustomerState(features=features), Options(stale_after_s=1e9))
    reasons = {row.product_id: row.reasons[0].code for row in slate.propositions}
    assert reasons[ProductId(item)] == "buy_again"
