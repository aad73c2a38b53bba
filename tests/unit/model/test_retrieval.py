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
from app.model.search.index import index_among, index_of
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


def assert_best(bundle: Bundle, user: Floats, found: Any, able: Any, count: int) -> None:
    scores = bundle.item_factors @ user
    assert len(found) == min(count, len(able))
    assert set(found.tolist()) <= set(able.tolist())
    best = np.sort(scores[able])[::-1][:count]
    assert np.allclose(scores[found], best, rtol=1e-4, atol=1e-5)


def test_more_than_there_is_gives_all(small: Bundle) -> None:
    bundle = with_factors(small, factors_of(1, 30), head_count=64)
    assert len(nearest(bundle, bundle.item_factors[3], count=200, allowed=None)) == 30
