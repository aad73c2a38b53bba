"""The index holds every vector once, the longest first."""

from typing import Any

import faiss
import numpy as np

from app.domain import Floats
from training.learners.index import build_index

# Faiss's stubs lack its Python layer.
_faiss: Any = faiss


def random_factors(count: int) -> Floats:
    return np.random.default_rng(1).normal(size=(count, 8)).astype(np.float32)


def test_rows_run_by_falling_length_and_name_their_items() -> None:
    factors = random_factors(500)
    index = build_index(factors)
    lengths = np.linalg.norm(factors[index.items], axis=1)
    assert (np.diff(lengths) <= 0).all()
    assert sorted(index.items.tolist()) == list(range(500))
    loaded = _faiss.deserialize_index(np.frombuffer(index.serialized, np.uint8))
    assert np.array_equal(loaded.reconstruct_n(0, 500), factors[index.items])


def test_no_items_give_an_empty_index() -> None:
    index = build_index(random_factors(0))
    assert _faiss.deserialize_index(np.frombuffer(index.serialized, np.uint8)).ntotal == 0
    assert len(index.items) == 0
