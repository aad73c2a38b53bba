"""A bundle's vectors, longest first: most of what is near to a customer is among the first of them."""

from dataclasses import dataclass

import faiss
import numpy as np

from app.domain import Floats, Ints, Mask

HEAD_COUNT = 3_000
"""Longest vectors that a search looks at first, by FAISS."""
ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """`vectors` float32 (m, k), each row's item int32 (m,) and length (m,), which never rises; `head` has the first."""

    head: faiss.IndexFlatIP
    vectors: Floats
    items: Ints
    lengths: Floats

    def count_in_reach(self, user_length: float, score: float) -> int:
        """How many of the first rows may score more than that with a vector of this length: none behind them can."""
        if not user_length:
            return 0 if score == 0 else len(self.lengths)
        # The last digits of a score are those of another order of sums. For a double numpy would copy all lengths.
        least = np.float32(score / user_length * (1 - ROUNDING))
        return len(self.lengths) - int(self.lengths[::-1].searchsorted(least))


def index_of(vectors: Floats, items: Ints, lengths: Floats, *, head_count: int = HEAD_COUNT) -> SearchIndex:
    """The index of vectors that run from the longest to the shortest."""
    head = faiss.IndexFlatIP(vectors.shape[1])
    if len(vectors):
        head.add(vectors[:head_count])
    return SearchIndex(head, vectors, items, lengths)


def index_among(index: SearchIndex, wanted: Mask, *, head_count: int = HEAD_COUNT) -> SearchIndex:
    """The index of the `wanted` (n,) items alone."""
    rows = np.flatnonzero(wanted[index.items])
    return index_of(index.vectors[rows], index.items[rows], index.lengths[rows], head_count=head_count)
