"""The longest vectors of a bundle in indexes of their own, for searches that mostly need not go further."""

from collections.abc import Sequence
from typing import NamedTuple

import faiss
import numpy as np

from app.domain import Floats, Ints, Mask

HEAD_COUNTS = (3_000, 8_000, 16_000)
"""Longest vectors that a search looks at first; of 68,077 the first 3,000 settle 63 to 92 % of customers' best 60."""


class SearchHeads(NamedTuple):
    """Indexes of some items' longest vectors, each with the rows of those before it; per row the item and the length.

    Behind the last row, where these are all rows, lengths go on with -inf. `item_count`: how many items it is about.
    """

    indexes: Sequence[faiss.IndexFlatIP]
    items: Ints
    lengths: Floats
    item_count: int


def heads_of(index: faiss.Index, *, counts: Sequence[int] = HEAD_COUNTS) -> list[faiss.IndexFlatIP]:
    """Flat inner-product indexes of the first rows, for every count that is less than all of them."""
    heads = []
    for count in counts:
        if count < index.ntotal:
            head = faiss.IndexFlatIP(index.d)
            head.add(index.reconstruct_n(0, count))
            heads.append(head)
    return heads


def heads_among(
    wanted: Mask, factors: Floats, items: Ints, lengths: Floats, *, counts: Sequence[int] = HEAD_COUNTS
) -> SearchHeads:
    """The heads of the `wanted` (n,) ones of `items`, whose vectors in `factors` (n, k) have these falling lengths."""
    rows = np.flatnonzero(wanted[items])
    longest = rows[: counts[-1] + 1]
    whole = faiss.IndexFlatIP(factors.shape[1])
    whole.add(factors[items[longest]])
    item_count = int(np.count_nonzero(wanted))
    if len(longest) < len(rows):
        return SearchHeads(heads_of(whole, counts=counts), items[longest], lengths[longest], item_count)
    all_lengths = np.append(lengths[longest], np.float32(-np.inf))
    return SearchHeads([*heads_of(whole, counts=counts), whole], items[longest], all_lengths, item_count)
