"""How good ranked lists are against what customers then bought: the numbers every claim rests on."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from app.domain import Ints

Column = npt.NDArray[np.float64]

METRIC_NAMES = ("hit", "recall", "precision", "ndcg", "mrr", "map")

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
# How many places of a resample are counted at once, 64 MB.
_DRAWN_AT_ONCE = 8_000_000


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


def paired_interval(differences: npt.ArrayLike, *, seed: int = 0) -> tuple[float, float, float]:
    """Mean of a customer's differences between two rankings (n,), and its 95 % interval: (mean, low, high).

    Percentile bootstrap over customers (Efron 1979), the same for the same seed. One customer gives an interval of
    no width, none at all (0, 0, 0).
    """
    column = np.asarray(differences, np.float64).reshape(-1, 1)
    mean, low, high = mean_intervals(column, seed=seed)
    return float(mean[0]), float(low[0]), float(high[0])


def mean_intervals(values: npt.NDArray[np.float64], *, seed: int) -> tuple[Column, Column, Column]:
    """Mean per column of `values` (n, m), and low and high end of its 95 % interval, each (m,).

    Whole rows are drawn again with replacement, so columns of one resample stay paired. No rows give zeros.
    """
    count, width = values.shape
    if count == 0:
        return np.zeros(width), np.zeros(width), np.zeros(width)
    mean = values.mean(axis=0)
    random = np.random.default_rng(seed)
    rounds = max(1, min(RESAMPLES, _DRAWN_AT_ONCE // count))
    means = np.concatenate(
        [_resampled(values - mean, min(rounds, RESAMPLES - start), random) for start in range(0, RESAMPLES, rounds)]
    )
    low, high = np.percentile(means, INTERVAL, axis=0)
    return mean, mean + low, mean + high


def _resampled(values: npt.NDArray[np.float64], rounds: int, random: np.random.Generator) -> Column:
    """Column means (rounds, m) of so many draws of all rows with replacement."""
    count = len(values)
    drawn = random.integers(count, size=(rounds, count)) + np.arange(rounds)[:, None] * count
    times = np.bincount(drawn.ravel(), minlength=rounds * count).reshape(rounds, count)
    means: Column = times.astype(np.float64) @ values / count
    return means
