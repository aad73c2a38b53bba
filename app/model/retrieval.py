"""Nearest items to a customer's vector: the candidates' step between a bundle's index and the slate."""

from typing import Any

import faiss
import numpy as np

from app.domain import Floats, Ints, Mask
from app.model.bundle import Bundle

# Below this share of allowed items a graph search finds too few of them, and scanning just those is faster.
EXACT_BELOW_RATIO = 0.1
EF_SEARCH = 128

# Faiss's stubs lack what its Python layer adds: selectors from arrays, search parameters by keyword.
_faiss: Any = faiss


def nearest(bundle: Bundle, user: Floats, count: int, *, allowed: Mask | None) -> Ints:
    """Up to `count` items of largest inner product with `user` (k,), best first; only `allowed` (n,) ones.

    The filter works inside the search, so a strict one never leaves the list short while allowed items exist.
    """
    if allowed is None:
        return _search(bundle, user, count, None)
    indexed = allowed[: bundle.index.ntotal]
    allowed_count = int(np.count_nonzero(indexed))
    if allowed_count < EXACT_BELOW_RATIO * len(indexed) or allowed_count <= count:
        return _scan(bundle, user, count, np.flatnonzero(indexed).astype(np.int32))
    return _search(bundle, user, count, _faiss.IDSelectorBitmap(np.packbits(indexed, bitorder="little")))


def _scan(bundle: Bundle, user: Floats, count: int, items: Ints) -> Ints:
    scores = bundle.item_factors[items] @ user
    order = np.argsort(-scores, kind="stable")[:count]
    return items[order]


def _search(bundle: Bundle, user: Floats, count: int, selector: Any) -> Ints:
    is_graph = isinstance(bundle.index, _faiss.IndexHNSW)
    parameters = (
        _faiss.SearchParametersHNSW(sel=selector, efSearch=max(EF_SEARCH, count))
        if is_graph
        else _faiss.SearchParameters(sel=selector)
    )
    _, found = bundle.index.search(user[None, :], count, params=parameters)
    items: Ints = found[0]
    return items[items >= 0].astype(np.int32)
