"""Whatever share of the products may be shown, a slate is full as long as there are enough of them."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.decision.candidates import sources
from app.decision.candidates.gather import SOURCES, find_candidates
from app.decision.customer.context import Context, make_context
from app.decision.eligibility.products import all_allowed, eligibility_rules
from app.decision.pipeline import Options, rank
from app.domain import Line, Mask, ProductId, Query
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from tests.support.world import World
from tests.unit.decision.random_bundles import random_bundle, random_customer

OPTIONS = Options(stale_after_s=1e9)
NOW = datetime(2026, 10, 1, tzinfo=UTC)
ITEM_COUNT = 6000
HERE = {"here": ["yes"]}
QUERY = Query(placement="app_home", size=20, now_at=NOW, customer_id="c", filters=HERE, exclude_purchased=False)


@pytest.fixture(scope="module")
def base(trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    return load_bundle(folder / current_version(folder))


def allowed_in(context: Context) -> Mask:
    allowed = all_allowed(eligibility_rules(context))
    assert allowed is not None
    return allowed


@given(
    seed=st.integers(0, 1000),
    share=st.sampled_from([0.5, 0.1, 0.01, 0.001]),
    size=st.sampled_from([1, 5, 20, 100]),
    excludes=st.booleans(),
    allows_age_restricted=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_slate_has_as_many_products_as_may_be_shown_and_no_others(
    base: Bundle, *, seed: int, share: float, size: int, excludes: bool, allows_age_restricted: bool
) -> None:
    bundle = random_bundle(base, item_count=ITEM_COUNT, share=share, seed=seed)
    state = random_customer(bundle, now=NOW, seed=seed)
    query = replace(
        QUERY,
        size=size,
        exclude_purchased=excludes,
        allows_age_restricted=allows_age_restricted,
        basket=(Line(ProductId("r5")), Line(ProductId("r7"))),
    )
    able = np.flatnonzero(allowed_in(make_context(query, bundle, state, stale_after_s=1e9)))
    slate = rank(query, bundle, state, OPTIONS)
    assert not slate.trace.failed_sources
    shown = [bundle.catalogue.item_of[row.product_id] for row in slate.propositions]
    assert len(set(shown)) == len(shown) == min(size, len(able))
    assert set(shown) <= set(able.tolist())


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_sources_with_a_bound_fill_it_with_what_may_be_shown(base: Bundle, share: float) -> None:
    bundle = random_bundle(base, item_count=ITEM_COUNT, share=share, seed=3)
    state = random_customer(bundle, now=NOW, seed=3)
    context = make_context(QUERY, bundle, state, stale_after_s=1e9)
    allowed = allowed_in(context)
    found = find_candidates(context, allowed).by_source
    for name in ("similar", "buy_again", "linear", "following", "popular"):
        assert allowed[found[name]].all(), name
    assert context.followers is not None
    followers = context.followers.items.ravel()
    able = allowed[followers] & (followers >= 0)
    assert len(found["following"]) == min(sources.FOLLOWING_COUNT, able.sum())
    trends, trending = bundle.trending_idx[0], found["trending"]
    assert trending[allowed[trending]].tolist() == trends[allowed[trends]][: sources.TRENDING_COUNT].tolist()
    assert len(found["similar"]) == min(sources.SIMILAR_COUNT, allowed.sum())


def test_what_is_barred_of_the_best_sellers_is_counted_by_its_reason(base: Bundle) -> None:
    bundle = random_bundle(base, item_count=ITEM_COUNT, share=0.5, seed=6)
    slate = rank(replace(QUERY, allows_age_restricted=True, customer_id=None), bundle, CustomerState(), OPTIONS)
    is_here = bundle.catalogue.attributes["here"].codes[bundle.trending_idx[0]] == 0
    assert slate.trace.dropped["filter_here"].count == (~is_here[: np.flatnonzero(is_here)[49]]).sum()


def test_followers_that_may_be_shown_are_the_likeliest_of_these(base: Bundle) -> None:
    bundle = random_bundle(base, item_count=ITEM_COUNT, share=0.5, seed=4)
    context = make_context(QUERY, bundle, random_customer(bundle, now=NOW, seed=4), stale_after_s=1e9)
    assert context.followers is not None
    items, chance = context.followers.items.ravel(), context.followers.chance.ravel()
    able = allowed_in(context)[items] & (items >= 0)
    found = sources.following(context, allowed_in(context))
    assert set(found.tolist()) >= set(items[able][np.argsort(-chance[able])[:50]].tolist())


def test_what_a_mask_of_everything_lets_pass_is_what_comes_without_one(base: Bundle) -> None:
    bundle = random_bundle(base, item_count=ITEM_COUNT, share=1.0, seed=5)
    query = replace(QUERY, allows_age_restricted=True)
    context = make_context(query, bundle, random_customer(bundle, now=NOW, seed=5), stale_after_s=1e9)
    with_mask, without = (
        find_candidates(context, allowed).by_source for allowed in (np.ones(ITEM_COUNT, np.bool_), None)
    )
    for name in SOURCES:
        assert sorted(with_mask[name].tolist()) == sorted(without[name].tolist()), name
