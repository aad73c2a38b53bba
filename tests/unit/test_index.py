"""The index finds what an exact scan finds."""

from typing import Any

import faiss
import numpy as np

from app.domain import Floats
from training.index import build_index

# Faiss's stubs lack its Python layer.
_faiss: Any = faiss


def loaded(factors: Floats, *, exact_below_count: int = 1000) -> Any:
    content = build_index(factors, exact_below_count=exact_below_count)
    return _faiss.deserialize_index(np.frombuffer(content, np.uint8))


def random_factors(count: int) -> Floats:
    return np.random.default_rng(1).normal(size=(count, 8)).astype(np.float32)


def test_small_catalogue_is_searched_exactly() -> None:
    factors = random_factors(500)
    user = factors[3]
    _, found = loaded(factors).search(user[None], 10)
    assert found[0].tolist() == np.argsort(-(factors @ user), kind="stable")[:10].tolist()


def test_large_catalogue_gets_a_graph_of_inner_products() -> None:
    factors = random_factors(500)
    index = loaded(factors, exact_below_count=100)
    assert isinstance(index, _faiss.IndexHNSW)
    assert index.metric_type == _faiss.METRIC_INNER_PRODUCT
    found = {int(index.search(user[None], 1)[1][0, 0]) for user in factors[:50]}
    exact = {int((factors @ user).argmax()) for user in factors[:50]}
    assert len(found & exact) >= 0.9 * len(exact)


def test_no_items_give_an_empty_index() -> None:
    assert loaded(random_factors(0)).ntotal == 0
