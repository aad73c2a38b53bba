"""Nearest items to a customer's vector: the candidates' step between a bundle's index and the slate.

The index holds the longest vectors first. By Cauchy-Schwarz no row behind the first d can score above |u| · |row d|,
so a search of d rows whose last find is at least that good is exact (the idea of LEMP: Teflioudi, Gemulla, Mykytiuk
2015). On 68,077 × 64 ALS factors 7,000 to 8,700 rows settle the best 200: 0.04 ms against 0.29 ms for all rows, and
against an HNSW graph that found 75 % of the best 100, behind a filter 16 to 68 %.
"""

from typing import Any

import faiss
import numpy as np

from app.domain import Floats, Ints, Mask
from app.model.bundle import Bundle

FIRST_DEPTH = 10_000
DEEPER = 4
# With fewer items allowed than this share, reading just those is faster: 0.07 against 0.19 ms at 5 %.
READ_ALLOWED_BELOW_RATIO = 0.1

# Faiss's stubs lack what its Python layer adds: selectors from arrays, search parameters by keyword.
_faiss: Any = faiss


def nearest(bundle: Bundle, user: Floats, count: int, *, allowed: Mask | None) -> Ints:
    """The `count` items of largest inner product with `user` (k,), best first; only `allowed` (n,) ones.

    Exact. The filter works inside the search, so the list is short only when fewer items are allowed.
    """
    if allowed is not None and np.count_nonzero(allowed) < READ_ALLOWED_BELOW_RATIO * len(allowed):
        return _read_allowed(bundle, user, count, allowed)
    reach = float(np.linalg.norm(user))
    total = int(bundle.index.ntotal)
    depth = FIRST_DEPTH
    while True:
        scores, rows = _search(bundle, user, count, depth, allowed)
        if depth >= total or (len(rows) == count and scores[-1] >= reach * bundle.index_lengths[depth]):
            return bundle.index_items[rows]
        depth *= DEEPER


def _search(bundle: Bundle, user: Floats, count: int, depth: int, allowed: Mask | None) -> tuple[Floats, Ints]:
    """Scores and rows of the best `count` among the first `depth` rows that are allowed."""
    if allowed is None:
        selector = _faiss.IDSelectorRange(0, depth)
    else:
        selector = _faiss.IDSelectorBitmap(np.packbits(allowed[bundle.index_items[:depth]], bitorder="little"))
    parameters = _faiss.SearchParameters(sel=selector)
    scores, rows = bundle.index.search(user[None, :], count, params=parameters)
    found = rows[0] >= 0
    return scores[0][found], rows[0][found]


def _read_allowed(bundle: Bundle, user: Floats, count: int, allowed: Mask) -> Ints:
    items = np.flatnonzero(allowed[: bundle.index.ntotal]).astype(np.int32)
    scores = bundle.item_factors[items] @ user
    if len(items) > count:
        best = np.argpartition(-scores, count)[:count]
        items, scores = items[best], scores[best]
    return items[np.argsort(-scores, kind="stable")]
