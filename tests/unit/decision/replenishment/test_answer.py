"""The replenishment answer without HTTP: categories, what is withdrawn, what is missing."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from app.decision.replenishment.answer import ReplenishmentQuery, replenishment
from app.decision.replenishment.hazards import CATEGORY, COLUMNS, PRODUCT
from app.domain import CustomerFeatures, Degraded
from app.errors import BadInput
from app.feature_fields import product_key
from app.model.bundle import Attribute, Bundle, NewProducts, current_version, load_bundle
from app.ports import CustomerState
from tests.support.world import World, product

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
TODAY = NOW.timestamp() // 86_400
WEEK_S = 7 * 86_400.0


@pytest.fixture(scope="module")
def bundle(trained_world: World) -> Bundle:
    """The trained bundle with a category for each taste; one product has none."""
    folder = trained_world.settings.bundles_dir
    found = load_bundle(folder / current_version(folder))
    vocabulary = ["coffee", "tea"]
    tastes = {name: vocabulary.index(name.split("-")[0]) for name in found.catalogue.product_ids}
    tastes[product("tea", 9)] = -1
    codes = np.array(list(tastes.values()), np.int32)
    category = Attribute(codes, vocabulary, {name: code for code, name in enumerate(vocabulary)})
    attributes = {**found.catalogue.attributes, CATEGORY: category}
    model = replace(found.rebuy[PRODUCT], habits=found.rebuy[PRODUCT].habits[-3:])
    catalogue = replace(found.catalogue, attributes=attributes)
    return replace(found, catalogue=catalogue, rebuy={**found.rebuy, CATEGORY: model})


def bought(*rows: tuple[str, float, float, float], as_of_at: float = NOW.timestamp()) -> CustomerState:
    """A customer who bought each (product, count, first and last day back from today)."""
    names, counts, first, last = zip(*rows, strict=True)
    weights = np.array(counts, np.float32)
    keys = np.array([product_key(name) for name in names])
    days = (np.array([TODAY - back for back in column], np.float32) for column in (first, last))
    return CustomerState(CustomerFeatures(as_of_at, {}, keys, weights, weights, weights, *days))


def ask(level: str = PRODUCT, limit: int = 50) -> ReplenishmentQuery:
    return ReplenishmentQuery("x", NOW, horizon_days=7, level=level, limit=limit)


def test_what_was_bought_once_is_not_listed(bundle: Bundle) -> None:
    state = bought((product("tea", 1), 5, 40, 4), (product("tea", 2), 1, 3, 3), (product("tea", 3), 2, 30, 9))
    answer = replenishment(ask(), bundle, state, stale_after_s=WEEK_S)
    assert {row.product_id for row in answer.purchases} == {product("tea", 1), product("tea", 3)}
    assert answer.degraded == ()


def test_row_tells_its_history(bundle: Bundle) -> None:
    state = bought((product("tea", 1), 5, 40, 4))
    row = replenishment(ask(), bundle, state, stale_after_s=WEEK_S).purchases[0]
    assert (row.category, row.name, row.bought_count, row.mean_interval_days) == ("tea", "The tea-1", 5, 9.0)
    assert row.last_bought_on == date(2026, 9, 27)
    assert row.reason.text == "You buy this about every 9 days, last 4 days ago"


def test_category_sums_its_products_and_leaves_out_those_without_one(bundle: Bundle) -> None:
    state = bought((product("tea", 1), 4, 40, 4), (product("tea", 2), 1, 3, 3), (product("tea", 9), 8, 30, 1))
    (row,) = replenishment(ask(CATEGORY), bundle, state, stale_after_s=WEEK_S).purchases
    assert (row.product_id, row.category, row.name) == (None, "tea", "tea")
    # Four baskets at least, five at most: the geometric mean is 4.5 baskets, rounded to four.
    assert (row.bought_count, row.last_bought_on) == (4, date(2026, 9, 28))
    assert row.mean_interval_days == pytest.approx(37 / 3, abs=0.1)


def test_withdrawn_product_is_not_listed(bundle: Bundle) -> None:
    on_offer = np.ones(bundle.item_count, np.bool_)
    on_offer[bundle.catalogue.item_of[product("tea", 1)]] = False
    changed = replace(bundle, new_products=NewProducts(np.zeros(0, np.int32), on_offer))
    state = bought((product("tea", 1), 5, 40, 4), (product("tea", 3), 2, 30, 9))
    answer = replenishment(ask(), changed, state, stale_after_s=WEEK_S)
    assert [row.product_id for row in answer.purchases] == [product("tea", 3)]


def test_age_restricted_products_are_listed_and_counted_only_where_allowed(bundle: Bundle) -> None:
    unrestricted = np.ones(bundle.item_count, np.bool_)
    unrestricted[bundle.catalogue.item_of[product("tea", 1)]] = False
    limited = replace(bundle, catalogue=replace(bundle.catalogue, unrestricted=unrestricted))
    state = bought((product("tea", 1), 9, 40, 4), (product("tea", 3), 2, 30, 9), (product("coffee", 1), 2, 20, 5))
    for level, everything in ((PRODUCT, [9, 2, 2]), (CATEGORY, [10, 2])):
        answers = [
            replenishment(replace(ask(level), allows_age_restricted=allows), limited, state, stale_after_s=WEEK_S)
            for allows in (False, True)
        ]
        counts = [sorted((row.bought_count for row in one.purchases), reverse=True) for one in answers]
        assert counts == [[2, 2], everything]


def test_bundle_without_the_model_answers_an_empty_flagged_list(bundle: Bundle) -> None:
    state = bought((product("tea", 1), 5, 40, 4))
    unlike = replace(bundle.rebuy[PRODUCT], columns=COLUMNS[::-1])
    for rebuy in ({}, {PRODUCT: unlike}):
        answer = replenishment(ask(), replace(bundle, rebuy=rebuy), state, stale_after_s=WEEK_S)
        assert (answer.purchases, answer.degraded) == ([], (Degraded.MODEL_UNAVAILABLE,))


def test_failed_store_answers_an_empty_flagged_list(bundle: Bundle) -> None:
    state = CustomerState(degraded=(Degraded.FEATURES_MISSING,))
    answer = replenishment(ask(), bundle, state, stale_after_s=WEEK_S)
    assert (answer.purchases, answer.degraded) == ([], (Degraded.FEATURES_MISSING,))


def test_catalogue_without_categories_is_named_as_the_reason(bundle: Bundle) -> None:
    attributes = {name: column for name, column in bundle.catalogue.attributes.items() if name != CATEGORY}
    changed = replace(bundle, catalogue=replace(bundle.catalogue, attributes=attributes))
    with pytest.raises(BadInput, match="category") as refused:
        replenishment(ask(CATEGORY), changed, bought((product("tea", 1), 5, 40, 4)), stale_after_s=WEEK_S)
    assert refused.value.pointer == "/query/level"


def test_chances_stop_falling_where_knowledge_stops(bundle: Bundle) -> None:
    state = bought((product("tea", 1), 5, 60, 34), as_of_at=NOW.timestamp() - 30 * 86_400)
    chances = [
        replenishment(replace(ask(), now_at=now_at), bundle, state, stale_after_s=WEEK_S).purchases[0].probability
        for now_at in (NOW - timedelta(days=days) for days in (29, 23, 0))
    ]
    assert chances[0] != pytest.approx(chances[1])
    assert chances[1] == pytest.approx(chances[2])
