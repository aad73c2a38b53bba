"""Order of a slate and its reasons, on a bundle small enough to check by hand."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decision.customer.context import make_context
from app.decision.pipeline import Options, rank
from app.decision.ranking.features import COLUMNS
from app.decision.ranking.scoring import ScoredCandidates
from app.decision.slate.products import top_positions
from app.domain import CustomerFeatures, Line, LiveEvent, ProductId, Query
from app.feature_fields import product_key
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from tests.support.world import World, customer, product

OPTIONS = Options(stale_after_s=1e9)
NOW = datetime(2026, 10, 1, tzinfo=UTC)
TODAY = NOW.timestamp() // 86_400


@pytest.fixture(scope="session")
def bundle(trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    return load_bundle(folder / current_version(folder))


def scored(*scores: float) -> ScoredCandidates:
    count = len(scores)
    table = np.zeros((count, len(COLUMNS)), np.float32)
    return ScoredCandidates(np.arange(count, dtype=np.int32), table, table[:1], np.array(scores, np.float32))


def test_nan_score_ranks_last(bundle: Bundle) -> None:
    popularity = bundle.popularity.copy()
    popularity[:3] = np.nan
    query = Query(placement="app_home", size=bundle.item_count, now_at=NOW, customer_id="x")
    slate = rank(query, replace(bundle, popularity=popularity), CustomerState(), OPTIONS)
    broken = set(bundle.catalogue.product_ids[:3])
    assert {row.product_id for row in slate.propositions[-3:]} == broken
    assert slate.trace.nan_count == 3
    assert all(row.probability == pytest.approx(0, abs=1e-6) for row in slate.propositions[-3:])


def test_equal_scores_rank_by_popularity() -> None:
    assert top_positions(scored(1.0, 2.0, 1.0, 2.0), 4).tolist() == [1, 3, 0, 2]


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=50), st.integers(1, 60))
def test_top_places_are_the_best_in_order(scores: list[float], size: int) -> None:
    best = [scores[position] for position in top_positions(scored(*scores), size)]
    assert best == sorted(scores, reverse=True)[:size]


def bought(*products: tuple[str, float, float, float]) -> CustomerState:
    """A customer who bought each (product, count, first day, last day)."""
    names, counts, first, last = zip(*products, strict=True)
    weights = np.array(counts, np.float32)
    features = CustomerFeatures(
        as_of_at=NOW.timestamp(),
        scalars={},
        bought_keys=np.array([product_key(name) for name in names]),
        bought_count=weights,
        bought_weight_28d=weights,
        bought_weight_112d=weights,
        bought_first_day=np.array(first, np.float32),
        bought_last_day=np.array(last, np.float32),
    )
    return CustomerState(features=features)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ((product("tea", 5), 11.0, TODAY - 120, TODAY - 20), "You buy this about every 10 days, last 20 days ago"),
        ((product("tea", 5), 2.0, TODAY - 120, TODAY - 1), "You last bought this yesterday"),
        ((product("tea", 5), 2.0, TODAY - 120, TODAY + 0.6), "You last bought this today"),
        ((product("tea", 5), 9.0, 0.0, 0.0), "You bought this before"),
        ((product("tea", 5), 30.0, TODAY - 60, TODAY - 30), "You buy this about every day, last 30 days ago"),
    ],
)
def test_repeat_purchase_is_explained_by_its_own_interval(
    bundle: Bundle, row: tuple[str, float, float, float], text: str
) -> None:
    query = Query(placement="app_home", size=60, now_at=NOW, customer_id="x")
    slate = rank(query, bundle, bought(row), OPTIONS)
    shown = {str(proposition.product_id): proposition for proposition in slate.propositions}
    assert shown[product("tea", 5)].reasons[0].text == text


@pytest.mark.parametrize(("is_viewed", "where"), [(True, ", which you viewed"), (False, " in your basket")])
def test_product_bought_together_names_the_other_and_where_it_is(bundle: Bundle, is_viewed: bool, where: str) -> None:
    other = ProductId(product("tea", 5))
    query = Query(placement="app_home", size=10, now_at=NOW, anonymous_id="x")
    query = replace(query, recent=[other]) if is_viewed else replace(query, basket=[Line(other)])
    # Heavy enough to be the first reason, whatever training found.
    weights = {**bundle.scoring["weights"], "together": 100.0}
    bundle = replace(bundle, scoring={**bundle.scoring, "weights": weights})
    slate = rank(query, bundle, CustomerState(), OPTIONS)
    texts = [reason.text for row in slate.propositions for reason in row.reasons if reason.code == "bought_together"]
    name = bundle.catalogue.names[bundle.catalogue.item_of[other]]
    assert set(texts) == {f"Often bought with {name}{where}"}


def test_live_purchase_counts_like_one_in_the_features(bundle: Bundle) -> None:
    query = Query(placement="app_home", size=5, now_at=NOW, customer_id="x")
    state = bought((product("tea", 5), 2.0, 100.0, 200.0))
    event = LiveEvent("1", "purchase", NOW.timestamp(), product("tea", 5))
    other = LiveEvent("2", "purchase", NOW.timestamp(), product("tea", 6))
    context = make_context(query, bundle, CustomerState(state.features, [event, other]), stale_after_s=1e9)
    counts = dict(zip(context.bought.items.tolist(), context.bought.count.tolist(), strict=True))
    find = bundle.catalogue.item_of
    assert counts == {find[product("tea", 5)]: 3.0, find[product("tea", 6)]: 1.0}


def test_live_refund_takes_one_purchase_off_those_in_the_features(bundle: Bundle) -> None:
    query = Query(placement="app_home", size=5, now_at=NOW, customer_id="x")
    state = bought((product("tea", 5), 2.0, 100.0, 200.0), (product("tea", 6), 1.0, 100.0, 100.0))
    back = [LiveEvent(str(number), "refund", NOW.timestamp(), product("tea", number)) for number in (5, 6, 7)]
    context = make_context(query, bundle, CustomerState(state.features, back), stale_after_s=1e9)
    item = bundle.catalogue.item_of[product("tea", 5)]
    assert (context.bought.items.tolist(), context.bought.count.tolist()) == ([item], [1.0])
    assert (context.bought.first_day.tolist(), context.bought.last_day.tolist()) == ([100.0], [200.0])
    assert context.bought.weight_112d[0] >= 0


def test_batch_of_one_and_pipeline_agree_whatever_is_explained(bundle: Bundle) -> None:
    state = bought((product("tea", 5), 2.0, 100.0, 200.0))
    plain = Query(placement="app_home", size=10, now_at=NOW, customer_id=customer("tea", 1))
    explained = Query(placement="app_home", size=10, now_at=NOW, customer_id=customer("tea", 1), explain=True)
    first, second = (rank(query, bundle, state, OPTIONS) for query in (plain, explained))
    assert [row.product_id for row in first.propositions] == [row.product_id for row in second.propositions]


def test_probability_is_that_of_the_kind_of_question(bundle: Bundle) -> None:
    one, other = {"slope": 1.0, "intercept": -2.0}, {"slope": 0.5, "intercept": -4.0}
    scoring = {**bundle.scoring, "calibration": one, "calibration_by_kind": {"basket_begun": other}}
    plain = Query(placement="app_home", size=5, now_at=NOW, anonymous_id="x")
    for query, expected in ((plain, one), (replace(plain, basket=[Line(ProductId(product("tea", 5)))]), other)):
        for row in rank(query, replace(bundle, scoring=scoring), CustomerState(), OPTIONS).propositions:
            log_odds = expected["slope"] * row.score + expected["intercept"]
            assert row.probability == pytest.approx(1 / (1 + np.exp(-log_odds)), rel=1e-5)
