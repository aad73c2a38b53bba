"""How good ranked lists are against what customers then bought: the numbers every claim rests on."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from app.domain import Ints

METRIC_NAMES = ("hit", "recall", "precision", "ndcg", "mrr", "map")


def rank_metrics(recommended: Sequence[Ints], truth: Sequence[Ints], *, k: int) -> Mapping[str, float]:
    """Means over customers at cut-off `k`; `recommended` distinct items best first, `truth` distinct items.

    hit: any found. recall: found / |truth|. precision: found / k, also for shorter lists. ndcg: binary gains
    1/log2(rank + 1) over the ideal of min(k, |truth|). mrr: 1 / rank of the first found. map: mean precision at
    the found ranks over min(k, |truth|). Customers without truth are left out; none at all give zeros.
    """
    rows = [one_customer(items, wanted, k=k) for items, wanted in zip(recommended, truth, strict=True) if len(wanted)]
    means = np.mean(rows, axis=0) if rows else np.zeros(len(METRIC_NAMES))
    return dict(zip(METRIC_NAMES, map(float, means), strict=True))


def one_customer(recommended: Ints, truth: Ints, *, k: int) -> npt.NDArray[np.float64]:
    """The six metrics of one list, in the order of METRIC_NAMES; `truth` is not empty."""
    found = np.isin(recommended[:k], truth)
    ranks = np.flatnonzero(found) + 1
    ideal_count = min(k, len(truth))
    precisions = np.arange(1, len(ranks) + 1) / ranks
    return np.array(
        [
            float(len(ranks) > 0),
            len(ranks) / len(truth),
            len(ranks) / k,
            gains(k)[ranks - 1].sum() / gains(k)[:ideal_count].sum(),
            1 / ranks[0] if len(ranks) else 0.0,
            precisions.sum() / ideal_count,
        ]
    )


def gains(k: int) -> npt.NDArray[np.float64]:
    """What a find at rank 1..k is worth: 1 / log2(rank + 1)."""
    return 1 / np.log2(np.arange(2, k + 2))
