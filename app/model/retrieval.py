"""Nearest items to a customer's vector: the candidates' step between a bundle's index and the slate."""

from typing import Any

import faiss
import numpy as np

from app.domain import Floats, Ints, Mask
from app.model.bundle import Bundle

# Of 68,073 items × 64 on one thread: FAISS's filtered scan takes 0.49, 0.19, 0.10 ms for 50, 5, 0.5 % allowed, reading
# just the allowed rows 0.88, 0.07, 0.009 ms.
READ_ALLOWED_BELOW_RATIO = 0.2
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
    if np.count_nonzero(indexed) < READ_ALLOWED_BELOW_RATIO * len(indexed) or _is_graph(bundle):
        return _scan(bundle, user, count, np.flatnonzero(indexed).astype(np.int32))
    return _search(bundle, user, count, _faiss.IDSelectorBitmap(np.packbits(indexed, bitorder="little")))


def _is_graph(bundle: Bundle) -> bool:
    """A graph search loses most true neighbours behind a filter: recall@100 .68, .42, .16 at 50, 5, 0.5 % allowed."""
    return isinstance(bundle.index, _faiss.IndexHNSW)


def _scan(bundle: Bundle, user: Floats, count: int, items: Ints) -> Ints:
    scores = bundle.item_factors[items] @ user
    if len(items) > count:
        best = np.argpartition(-scores, count)[:count]
        items, scores = items[best], scores[best]
    return items[np.argsort(-scores, kind="stable")]


def _search(bundle: Bundle, user: Floats, count: int, selector: Any) -> Ints:
    parameters = (
        _faiss.SearchParametersHNSW(sel=selector, efSearch=max(EF_SEARCH, count))
        if _is_graph(bundle)
        else _faiss.SearchParameters(sel=selector)
    )
    _, found = bundle.index.search(user[None, :], count, params=parameters)
    items: Ints = found[0]
    return items[items >= 0].astype(np.int32)
