"""Item factors become a FAISS index: what finds the nearest items to a customer among many."""

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from app.domain import Floats

EXACT_BELOW_COUNT = 150_000
"""Below this the exact scan is taken: 0.2 ms for 68,000 × 64 on one core, 0.5 ms with half of them allowed.

A graph search over ALS factors, whose lengths differ a hundredfold, found 75 % of the nearest 100 in 0.1 ms,
and 16-68 % of them under a filter.
"""
HNSW_LINKS = 32
HNSW_BUILD_DEPTH = 200

# Faiss's stubs show the C++ signatures, not those its Python layer puts on top.
_faiss: Any = faiss


def build_index(item_factors: Floats, *, exact_below_count: int = EXACT_BELOW_COUNT) -> bytes:
    """A serialized inner-product index over all rows of `item_factors` (m, k); ids are row numbers.

    Flat (exact) below 150,000 rows, HNSW above. Loads with `faiss.deserialize_index` of the bytes as uint8.
    """
    count, factor_count = item_factors.shape
    if count < exact_below_count:
        index = _faiss.IndexFlatIP(factor_count)
    else:
        index = _faiss.IndexHNSWFlat(factor_count, HNSW_LINKS, _faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = HNSW_BUILD_DEPTH
    if count:
        index.add(np.ascontiguousarray(item_factors, np.float32))
    serialized: npt.NDArray[np.uint8] = _faiss.serialize_index(index)
    return serialized.tobytes()
