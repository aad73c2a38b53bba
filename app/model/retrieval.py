"""Nearest items to a customer's vector: the candidates' step between a bundle's index and the slate.

The index holds the longest vectors first. By Cauchy-Schwarz a row d that scores s has |u| · |row d| ≥ s, so after a
look at the first rows, the best of which score at least s, only those as long as s / |u| are left to read (the idea of
LEMP: Teflioudi, Gemulla, Mykytiuk 2015). That is exact behind any mask, where graphs and cells lose the more the fewer
items are allowed (docs/decisions/0007-exact-search-longest-first.md).
"""

from typing import Any, TypeVar

import faiss
import numpy as np
import numpy.typing as npt

from app.domain import Floats, Ints, Mask
from app.model.bundle import Bundle
from app.model.search.index import SearchIndex

# To pick the allowed rows out of many, each row's bit is looked up: a fortieth of reading its vector.
LOOK_UPS_PER_READ = 40
# With so many allowed, to read the others as well costs less than to pick.
DENSE_SHARE = 0.25
# So much further goes each step of a search, unless the step before found that less will do.
GROWTH = 4
# With so many of the first rows allowed, that many more of the best of all are read first, and the barred ones dropped.
MOSTLY_ALLOWED_SHARE, MARGIN = 0.5, 1.2
# A few barred items (a basket) are cheaper to find and drop than to ask about at every row.
DROP_AFTERWARDS_COUNT = 50

# Faiss's stubs lack what its Python layer adds: selectors from arrays, search parameters by keyword.
_faiss: Any = faiss

T = TypeVar("T", bound=np.integer[Any])
_Found = tuple[Floats, npt.NDArray[np.intp]]
"""Scores and rows in the index."""


def nearest(
    bundle: Bundle, user: Floats, *, count: int, allowed: Mask | None, within: SearchIndex | None = None
) -> Ints:
    """The `count` items of largest inner product with `user` (k,), best first; only `allowed` (n,) ones.

    Exact. The filter works inside the search, so the list is short only when fewer items are allowed. `within`, where
    it is given, holds all allowed items and few others: then it is as fast as without a filter.
    """
    index = bundle.index if within is None else within
    if allowed is None:
        return _search(index, user, count)
    allowed_count = int(np.count_nonzero(allowed))
    able = bundle.catalogue.unrestricted if within is not None else None
    barred_count = (len(allowed) if able is None else int(np.count_nonzero(able))) - allowed_count
    if barred_count <= DROP_AFTERWARDS_COUNT:
        found = _search(index, user, count + barred_count)
        return found[allowed[found]][:count] if barred_count else found
    head = index.items[: index.head.ntotal]
    share = np.count_nonzero(allowed.take(head)) / max(len(head), 1)
    if share > MOSTLY_ALLOWED_SHARE:
        # Mostly the best of all hold enough that are allowed, as their long vectors are those of what sells and is in
        # stock: half of what asking about each row costs.
        wanted = int(count / share * MARGIN) + 1
        found = _search(index, user, wanted)
        passing = found[allowed.take(found)]
        if len(passing) >= count or len(found) < wanted:
            return passing[:count]
    if allowed_count < index.head.ntotal + len(allowed) / LOOK_UPS_PER_READ:
        return _read_allowed(bundle, user, count, allowed)
    return _search(index, user, count, allowed, share=allowed_count / len(allowed))


def _search(index: SearchIndex, user: Floats, count: int, allowed: Mask | None = None, *, share: float = 1.0) -> Ints:
    """The best `count` items: from the longest vectors on, step by step, until no other can be among them.

    The first step takes the head, or where a small `share` is allowed, so many rows as hold that many allowed ones.
    """
    user_length, least, first = float(np.linalg.norm(user)), -np.inf, index.head.ntotal
    start, end = 0, first if share >= DENSE_SHARE else min(int(first / share), len(index.items))
    scores, rows = np.zeros(0, np.float32), np.zeros(0, np.intp)
    while start < end:
        # A head without enough that is allowed says that here the share is small, too.
        if allowed is not None and (share < DENSE_SHARE or (start and least == -np.inf)):
            found = _pick(index, user, start, end, allowed)
        elif not start:
            found = _search_head(index, user, count, allowed)
        else:
            found = _read(index, user, start, end, allowed, least)
        scores, rows = _largest(np.concatenate([scores, found[0]]), np.concatenate([rows, found[1]]), count)
        if len(rows) == count:
            least = float(scores.min())
        start, end = end, min(GROWTH * end, index.count_in_reach(user_length, least))
    return index.items[rows[np.argsort(-scores, kind="stable")]]


def _search_head(index: SearchIndex, user: Floats, count: int, allowed: Mask | None) -> _Found:
    """The best of the first rows, as FAISS finds them."""
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


def _read(index: SearchIndex, user: Floats, start: int, end: int, allowed: Mask | None, least: float) -> _Found:
    """The allowed rows that score at least `least`; reads all."""
    scores = index.vectors[start:end] @ user
    rows = (scores >= least).nonzero()[0]
    if allowed is not None:
        rows = rows[allowed.take(index.items[start:end].take(rows))]
    return scores[rows], rows + start


def _pick(index: SearchIndex, user: Floats, start: int, end: int, allowed: Mask) -> _Found:
    """The allowed rows; reads no other."""
    rows = allowed.take(index.items[start:end]).nonzero()[0] + start
    return index.vectors.take(rows, axis=0) @ user, rows


def _read_allowed(bundle: Bundle, user: Floats, count: int, allowed: Mask) -> Ints:
    items = _indexed(bundle, allowed)
    scores, best = _largest(bundle.item_factors.take(items, axis=0) @ user, items, count)
    return best[np.argsort(-scores, kind="stable")]


def _largest(scores: Floats, numbers: npt.NDArray[T], count: int) -> tuple[Floats, npt.NDArray[T]]:
    """The `count` largest scores, in no order, and what number each has."""
    if len(scores) <= count:
        return scores, numbers
    best = np.argpartition(-scores, count)[:count]
    return scores[best], numbers[best]


def _indexed(bundle: Bundle, allowed: Mask) -> Ints:
    """The allowed items that have a vector: those bought come first, new products anywhere behind them."""
    indexed_count = len(bundle.index.items)
    if bundle.new_products is None:
        return np.flatnonzero(allowed[:indexed_count]).astype(np.int32)
    new_products = bundle.new_products.items
    bought = np.flatnonzero(allowed[: indexed_count - len(new_products)]).astype(np.int32)
    return np.concatenate([bought, new_products[allowed[new_products]]])
