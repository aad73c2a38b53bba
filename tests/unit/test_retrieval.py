"""Filtered search never comes back short, in either kind of index."""

from dataclasses import replace

import faiss
import numpy as np
import pytest

from app.model.bundle import Bundle, current_version, load_bundle
from app.model.retrieval import nearest
from tests.world import World


@pytest.fixture(scope="module", params=["flat", "graph"])
def bundle(request: pytest.FixtureRequest, trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    small = load_bundle(folder / current_version(folder))
    factors = np.random.default_rng(0).normal(size=(3000, 16)).astype(np.float32)
    index = (
        faiss.IndexFlatIP(16) if request.param == "flat" else faiss.IndexHNSWFlat(16, 32, faiss.METRIC_INNER_PRODUCT)
    )
    index.add(factors)
    return replace(small, item_factors=factors, index=index)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.02, 0.001])
def test_filter_inside_the_search_fills_the_list_with_allowed_items(bundle: Bundle, share: float) -> None:
    random = np.random.default_rng(1)
    allowed = random.random(3000) < share
    user = random.normal(size=16).astype(np.float32)
    found = nearest(bundle, user, 50, allowed=allowed)
    truth = np.flatnonzero(allowed)[np.argsort(-(bundle.item_factors[allowed] @ user), kind="stable")][:50]
    assert len(found) == min(50, int(allowed.sum()))
    assert allowed[found].all()
    assert len(set(found.tolist()) & set(truth.tolist())) >= 0.95 * len(truth)


def test_without_a_filter_all_items_are_searched(bundle: Bundle) -> None:
    user = bundle.item_factors[17]
    assert len(nearest(bundle, user, 10, allowed=None)) == 10
