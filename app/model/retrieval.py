"""Nearest items to a customer's vector: the candidates' step between a bundle's index and the slate.

The index holds the longest vectors first. By Cauchy-Schwarz a row d that scores s has |u| · |row d| ≥ s, so after a
look at the first rows, the best of which score at least s, only those as long as s / |u| are left to read (the idea of
LEMP: Teflioudi, Gemulla, Mykytiuk 2015). That is exact, where an HNSW graph found 75 % of the best 100 of 68,077 × 64
ALS factors, behind a filter 16 to 68 %. Of 18,929 factors some 5,300 are read for the best 60.
"""

from typing import Any

import faiss
import numpy as np

from app.domain import Floats, Ints, Mask
from app.model.bundle import Bundle
from app.model.search.index import SearchIndex

# With fewer items allowed than this share, reading just those is faster: 0.07 against 0.19 ms at 5 %.
READ_ALLOWED_BELOW_RATIO = 0.1
# A few barred items (a basket) are cheaper to find and drop than to ask about at every row.
DROP_AFTERWARDS_COUNT = 50
ROUNDING, TINY = 1e-5, 1e-30

# Faiss's stubs lack what its Python layer adds: selectors from arrays, search parameters by keyword.
_faiss: Any = faiss


def nearest(
    bundle: Bundle, user: Floats, *, count: int, allowed: Mask | None, within: SearchIndex | None = None
) -> Ints:
    """The `count` items of largest inner product with `user` (k,), best first; only `allowed` (n,) ones.

    Exact. The filter works inside the search, so the list is short only when fewer items are allowed. `within`, where
    it is given, holds all allowed items and few others: then it is as fast as without a filter.
    """
    index = bundle.index if within is None else within
    if allowed is None:
        return _search(index, user, count, allowed=None)
    allowed_count = int(np.count_nonzero(allowed))
    if allowed_count < READ_ALLOWED_BELOW_RATIO * len(allowed):
        return _read_allowed(bundle, user, count, allowed)
    able = bundle.catalogue.unrestricted if within is not None else None
    barred_count = (len(allowed) if able is None else int(np.count_nonzero(able))) - allowed_count
    if barred_count > DROP_AFTERWARDS_COUNT:
        return _search(index, user, count, allowed)
    found = _search(index, user, count + barred_count, allowed=None)
    return found[allowed[found]][:count] if barred_count else found


def _search(index: SearchIndex, user: Floats, count: int, allowed: Mask | None) -> Ints:
    """The best `count` items, from the longest vectors and from the others that might be among them."""
    scores, rows = _search_head(index, user, count, allowed)
    first, reach = index.head.ntotal, float(np.linalg.norm(user))
    least = float(scores[-1]) if len(rows) == count else -np.inf
    if first == len(index.items) or least >= reach * index.lengths[first]:
        return index.items[rows]
    # Lengths never rise; the last digits of a score are those of another order of sums.
    end = len(index.items) - int(np.searchsorted(index.lengths[::-1], least / max(reach, TINY) * (1 - ROUNDING)))
    others = index.vectors[first:end] @ user
    is_better = others >= least
    if allowed is not None:
        is_better &= allowed[index.items[first:end]]
    better = is_better.nonzero()[0]
    found = index.items[np.concatenate([rows, better + first])]
    return _best(found, np.concatenate([scores, others[better]]), count)


def _search_head(index: SearchIndex, user: Floats, count: int, allowed: Mask | None) -> tuple[Floats, Ints]:
    parameters = None
    if allowed is not None:
        rows = allowed[index.items[: index.head.ntotal]]
        # The selector counts the bits of a byte from its low end, numpy by default from the high one.
        parameters = _faiss.SearchParameters(sel=_faiss.IDSelectorBitmap(np.packbits(rows, bitorder="little")))
    head: Any = index.head
    scores, found = head.search(user[None, :], count, params=parameters)
    # FAISS fills up with -1 where fewer rows pass than are wanted.
    is_found = found[0] >= 0
    return scores[0][is_found], found[0][is_found]


def _read_allowed(bundle: Bundle, user: Floats, count: int, allowed: Mask) -> Ints:
    items = _indexed(bundle, allowed)
    return _best(items, bundle.item_factors[items] @ user, count)


def _best(items: Ints, scores: Floats, count: int) -> Ints:
    """The `count` items of largest scores, best first."""
    if len(items) > count:
        best = np.argpartition(-scores, count)[:count]
        items, scores = items[best], scores[best]
    return items[np.argsort(-scores, kind="stable")]


def _indexed(bundle: Bundle, allowed: Mask) -> Ints:
    """The allowed items that have a vector: those bought come first, new products anywhere behind them."""
    indexed_count = len(bundle.index.items)
    if bundle.new_products is None:
        return np.flatnonzero(allowed[:indexed_count]).astype(np.int32)
    new_products = bundle.new_products.items
    bought = np.flatnonzero(allowed[: indexed_count - len(new_products)]).astype(np.int32)
    return np.concatenate([bought, new_products[allowed[new_products]]])
