"""Item factors become a FAISS index: what finds the nearest items to a customer among many."""

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from app.domain import Floats, Ints

# Faiss's stubs show the C++ signatures, not those its Python layer puts on top.
_faiss: Any = faiss


@dataclass(frozen=True, slots=True)
class Index:
    """A serialized flat inner-product index, longest vectors first; `items` int32 (m,) says whose vector a row is."""

    serialized: bytes
    items: Ints


def build_index(item_factors: Floats) -> Index:
    """The index over all rows of `item_factors` (m, k).

    ALS factors differ in length a hundredfold, and |u·f| ≤ |u|·|f|: with the longest first, a search may stop early
    and still be exact (app/model/retrieval.py). Loads with `faiss.deserialize_index` of the bytes as uint8.
    """
    # Stable, so that vectors of one length always come in the same order: the better seller first.
    items = np.argsort(-np.linalg.norm(item_factors, axis=1), kind="stable").astype(np.int32)
    index = _faiss.IndexFlatIP(item_factors.shape[1])
    if len(items):
        index.add(np.ascontiguousarray(item_factors[items], np.float32))
    serialized: npt.NDArray[np.uint8] = _faiss.serialize_index(index)
    return Index(serialized.tobytes(), items)
