"""The search is exact, behind any filter, however early it stops."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import Floats
from app.model.bundle import Bundle, current_version, load_bundle
from app.model.retrieval import nearest
from app.model.search.index import HEAD_COUNT, index_among, index_of
from tests.support.world import World
from training.learners.index import longest_first


def factors_of(seed: int, count: int) -> Floats:
    """Vectors whose lengths differ a hundredfold, as those of ALS do."""
    random = np.random.default_rng(seed)
    length = 10 ** random.uniform(-1, 1, size=(count, 1))
    return (random.normal(size=(count, 16)) * length).astype(np.float32)


@pytest.fixture(scope="module")
def small(trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    return load_bundle(folder / current_version(folder))


def with_factors(bundle: Bundle, factors: Floats, *, head_count: int) -> Bundle:
    items = longest_first(factors)
    lengths = np.linalg.norm(factors[items], axis=1)
    return replace(bundle, item_factors=factors, index=index_of(factors[items], items, lengths, head_count=head_count))


@given(
    seed=st.integers(0, 1000), share=st.sampled_from([1.0, 0.99, 0.5, 0.12, 0.05, 0.002, 0.0]), count=st.integers(1, 60)
)
@settings(max_examples=60, deadline=None)
def test_search_finds_exactly_the_best_allowed_items(small: Bundle, seed: int, share: float, count: int) -> None:
    bundle = with_factors(small, factors_of(seed, 3000), head_count=64)
    random = np.random.default_rng(seed + 1)
    user = random.normal(size=16).astype(np.float32)
    allowed = random.random(3000) < share
    found = nearest(bundle, user, count=count, allowed=allowed)
    assert_best(bundle, user, found, np.flatnonzero(allowed), count)
    assert_best(bundle, user, nearest(bundle, user, count=count, allowed=None), np.arange(3000), count)


@given(seed=st.integers(0, 1000), barred=st.sampled_from([0.0, 0.05, 0.5, 0.999]), further=st.sampled_from([0, 5, 80]))
@settings(max_examples=60, deadline=None)
def test_search_among_what_is_mostly_allowed_is_exact(small: Bundle, seed: int, barred: float, further: int) -> None:
    random = np.random.default_rng(seed)
    # Of half of 90 items the head holds every row, of 200 and 3,000 a part.
    for item_count in (90, 200, 3000):
        whole = with_factors(small, factors_of(seed, item_count), head_count=64)
        unrestricted = random.random(item_count) >= barred
        index = index_among(whole.index, unrestricted, head_count=64)
        bundle = replace(whole, catalogue=replace(whole.catalogue, unrestricted=unrestricted), unrestricted_index=index)
        allowed = unrestricted.copy()
        allowed[random.choice(item_count, further, replace=False)] = False
        user = random.normal(size=16).astype(np.float32)
        for mask in (unrestricted, allowed):
            found = nearest(bundle, user, count=20, allowed=mask, within=index)
            assert_best(bundle, user, found, np.flatnonzero(mask), 20)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_a_store_s_selection_of_66_000_products_is_searched_exactly(small: Bundle, share: float) -> None:
    random = np.random.default_rng(7)
    factors = random.normal(size=(66_000, 64)) * 10 ** random.uniform(-1, 1, size=(66_000, 1))
    bundle = with_factors(small, factors.astype(np.float32), head_count=HEAD_COUNT)
    allowed = random.random(66_000) < share
    for user in random.normal(size=(5, 64)).astype(np.float32):
        assert_best(bundle, user, nearest(bundle, user, count=60, allowed=allowed), np.flatnonzero(allowed), 60)


@given(seed=st.integers(0, 1000), share=st.sampled_from([0.6, 0.3, 0.1, 0.05]), count=st.sampled_from([1, 20, 200]))
@settings(max_examples=40, deadline=None)
def test_search_is_exact_where_only_the_shortest_vectors_are_allowed(
    small: Bundle, seed: int, share: float, count: int
) -> None:
    bundle = with_factors(small, factors_of(seed, 3000), head_count=64)
    user = np.random.default_rng(seed).normal(size=16).astype(np.float32)
    allowed = np.zeros(3000, np.bool_)
    allowed[bundle.index.items[-int(share * 3000) :]] = True
    assert_best(bundle, user, nearest(bundle, user, count=count, allowed=allowed), np.flatnonzero(allowed), count)


def test_vector_that_says_nothing_finds_as_many_after_one_look(small: Bundle) -> None:
    bundle = with_factors(small, factors_of(2, 3000), head_count=64)
    nothing = np.zeros(16, np.float32)
    assert bundle.index.count_in_reach(0.0, 0.0) == 0
    assert bundle.index.count_in_reach(0.0, -np.inf) == 3000
    for allowed in (None, np.arange(3000) % 2 == 0, np.arange(3000) % 10 == 0):
        assert len(nearest(bundle, nothing, count=60, allowed=allowed)) == 60


def assert_best(bundle: Bundle, user: Floats, found: Any, able: Any, count: int) -> None:
    scores = bundle.item_factors @ user
    assert len(found) == min(count, len(able))
    assert set(found.tolist()) <= set(able.tolist())
    best = np.sort(scores[able])[::-1][:count]
    assert np.allclose(scores[found], best, rtol=1e-4, atol=1e-5)


def test_more_than_there_is_gives_all(small: Bundle) -> None:
    bundle = with_factors(small, factors_of(1, 30), head_count=64)
    assert len(nearest(bundle, bundle.item_factors[3], count=200, allowed=None)) == 30
