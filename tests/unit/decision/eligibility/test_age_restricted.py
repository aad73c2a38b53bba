"""Products for people of age: in no slate, by no way, but where the placement allows them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from app.decision.customer.context import make_context
from app.decision.eligibility.products import eligibility_rules
from app.decision.fallbacks import floor_slate, popular_slate
from app.decision.pipeline import Options, rank
from app.domain import Degraded, LiveEvent, Pin, Query, SlatePolicy
from app.model.bundle import Bundle, current_version, load_bundle
from app.model.new_products import extended
from app.ports import CustomerState
from app.slates import Slate
from tests.support.world import PRODUCTS_PER_TASTE, World, product

OPTIONS = Options(stale_after_s=1e9)
NOW = datetime(2026, 10, 1, tzinfo=UTC)
RESTRICTED = frozenset(product("tea", number) for number in range(PRODUCTS_PER_TASTE // 2))
VIEWED = (product("tea", 3), product("tea", 7), product("tea", 20))
VIEWER = CustomerState(events=[LiveEvent(name, "view_item", NOW.timestamp() - 60, name) for name in VIEWED])
QUERY = Query(placement="app_home", size=100, now_at=NOW, anonymous_id="a")


@pytest.fixture(scope="module")
def plain(trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    return load_bundle(folder / current_version(folder))


@pytest.fixture(scope="module")
def bundle(plain: Bundle, trained_world: World) -> Bundle:
    """The small retailer's, half of its teas and a new one for people of age."""
    table = pl.read_parquet(trained_world.settings.tables_dir / "products.parquet")
    limited = table.with_columns(age_restricted=pl.when(pl.col("product_id").is_in(RESTRICTED)).then(pl.lit("18")))
    new = {"product_id": "tea-rum", "name": "The tea with rum", "department": "TEA", "age_restricted": "yes"}
    return extended(plain, pl.concat([limited, pl.DataFrame([new])], how="diagonal"), now=NOW)


def ask(bundle: Bundle, **fields: Any) -> Slate:
    return rank(replace(QUERY, **fields), bundle, VIEWER, OPTIONS)


def shown(slate: Slate) -> list[str]:
    return [row.product_id for row in slate.propositions]


def test_restricted_products_are_left_out_and_the_trace_says_why(bundle: Bundle) -> None:
    slate = ask(bundle)
    assert len(shown(slate)) > 30
    assert not {*RESTRICTED, "tea-rum"} & set(shown(slate))
    assert set(VIEWED[:2]) <= set(slate.trace.dropped["age_restricted"].ids)


def test_placement_that_allows_them_shows_what_it_would_have_shown(plain: Bundle, bundle: Bundle) -> None:
    allowed = ask(bundle, allows_age_restricted=True, new_products=0, size=20)
    assert shown(allowed) == shown(ask(plain, new_products=0, size=20))
    assert set(shown(allowed)) & RESTRICTED
    assert "age_restricted" not in allowed.trace.dropped


@pytest.mark.parametrize("fields", [{"filters": {"department": ["TEA"]}}, {"exclude_purchased": True}])
def test_what_a_request_asks_for_opens_nothing(bundle: Bundle, fields: dict[str, Any]) -> None:
    assert not {*RESTRICTED, "tea-rum"} & set(shown(ask(bundle, **fields)))


@pytest.mark.parametrize("is_allowed", [False, True])
def test_pin_needs_the_allowance_too(bundle: Bundle, *, is_allowed: bool) -> None:
    policy = SlatePolicy(pins=(Pin(1, product("tea", 3)), Pin(2, product("tea", 20))))
    found = shown(ask(bundle, policy=policy, allows_age_restricted=is_allowed))
    assert (found[0] == product("tea", 3)) == is_allowed
    assert found[1] == product("tea", 20)


def test_place_for_a_new_product_is_given_to_a_restricted_one_only_where_allowed(bundle: Bundle) -> None:
    assert "tea-rum" not in shown(ask(bundle, size=10))
    assert "tea-rum" in shown(ask(bundle, size=10, allows_age_restricted=True))


def test_popular_products_are_those_for_everybody(bundle: Bundle) -> None:
    popular = popular_slate(QUERY, bundle, OPTIONS, why=Degraded.OVERLOAD)
    assert shown(popular)
    assert not RESTRICTED & set(shown(popular))


def test_catalogue_without_restricted_products_has_no_rule_for_them(plain: Bundle) -> None:
    context = make_context(QUERY, plain, VIEWER, stale_after_s=1e9)
    assert eligibility_rules(context) == []


def test_static_list_leaves_out_what_the_bundle_knows_to_be_restricted(bundle: Bundle) -> None:
    broken = replace(bundle, popularity=np.zeros(0, np.float32), trending_idx=np.zeros((0, 0), np.int32))
    fallbacks = {"app_home": [product("tea", 3), product("tea", 20), "unheard-of"]}
    assert shown(floor_slate(QUERY, broken, OPTIONS, fallbacks)) == [product("tea", 20), "unheard-of"]
    allowed = replace(QUERY, allows_age_restricted=True)
    assert shown(floor_slate(allowed, broken, OPTIONS, fallbacks)) == fallbacks["app_home"]
