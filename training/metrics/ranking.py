"""How good ranked lists are against what customers then bought: the numbers every claim rests on."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from app.domain import Ints, Mask

Wide = npt.NDArray[np.float64]

METRIC_NAMES = ("hit", "recall", "precision", "ndcg", "mrr", "map")

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
# How many values of a resample are counted at once, 64 MB.
_DRAWN_AT_ONCE = 8_000_000


def rank_metrics(recommended: Sequence[Ints], truth: Sequence[Ints], *, k: int) -> Mapping[str, float]:
    """Means over customers at cut-off `k`; `recommended` distinct items best first, `truth` distinct items.

    Customers without truth are left out; none at all give zeros.
    """
    kept_rows = [row for row, wanted in enumerate(truth) if len(wanted)]
    kept = [truth[row] for row in kept_rows]
    found = found_positions(side_by_side([recommended[row] for row in kept_rows], k=k), kept)
    rows = per_customer(found, truth_sizes(kept), k=k)
    means = rows.mean(axis=0) if kept_rows else np.zeros(len(METRIC_NAMES))
    return dict(zip(METRIC_NAMES, map(float, means), strict=True))


def one_customer(recommended: Ints, truth: Ints, *, k: int) -> Wide:
    """The six metrics of one list, in the order of METRIC_NAMES; `truth` is not empty."""
    found = found_positions(side_by_side([recommended], k=k), [truth])
    return per_customer(found, truth_sizes([truth]), k=k).reshape(-1)


def per_customer(found: Mask, truth_size: Ints, *, k: int) -> Wide:
    """The metrics of each list (n, 6) in the order of METRIC_NAMES; `found` (n, K ≥ k), `truth_size` (n,) from 1.

    hit: any found. recall: found / |truth|. precision: found / k, also for shorter lists. ndcg: binary gains
    1/log2(rank + 1) over the ideal of min(k, |truth|) (Järvelin, Kekäläinen 2002). mrr: 1 / rank of the first found.
    map: mean precision at the found ranks over min(k, |truth|).
    """
    top = found[:, :k].astype(np.float64)
    ranks = np.arange(1, top.shape[1] + 1)
    count = top.sum(axis=1)
    ideal_count = np.minimum(k, truth_size)
    precision_at_rank = np.cumsum(top, axis=1) / ranks
    return np.stack(
        [
            (count > 0).astype(np.float64),
            count / truth_size,
            count / k,
            top @ gains(k) / np.cumsum(gains(k))[ideal_count - 1],
            np.where(count > 0, 1 / (top.argmax(axis=1) + 1), 0.0),
            (precision_at_rank * top).sum(axis=1) / ideal_count,
        ],
        axis=1,
    )


def gains(k: int) -> Wide:
    """What a find at rank 1..k is worth: 1 / log2(rank + 1)."""
    return 1 / np.log2(np.arange(2, k + 2))


def auc(scores: Wide, labels: Mask) -> float:
    """P(a bought candidate scores above one that was not), ties count half; Mann-Whitney. `labels` hold both."""
    _, position, count = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2
    hit_count = int(labels.sum())
    above = mean_rank[position][labels].sum() - hit_count * (hit_count + 1) / 2
    return float(above / (hit_count * (len(labels) - hit_count))) if 0 < hit_count < len(labels) else 0.5


def side_by_side(lists: Sequence[Ints], *, k: int) -> Ints:
    """The first `k` of each list, int32 (n, k), -1 where a list is shorter."""
    table = np.full((len(lists), k), -1, np.int32)
    for row, items in enumerate(lists):
        table[row, : min(k, len(items))] = items[:k]
    return table


def found_positions(slates: Ints, truth: Sequence[Ints]) -> Mask:
    """Which positions of `slates` (n, K; -1 = empty) hold a product of their customer's truth."""
    wanted = np.concatenate([*truth, np.zeros(0, np.int32)]).astype(np.int64)
    # One integer per customer and product lets one isin() serve all customers; it needs 64 bits.
    width = int(max(slates.max(initial=0), wanted.max(initial=0))) + 1
    owner = np.repeat(np.arange(len(truth), dtype=np.int64), truth_sizes(truth))
    keys = np.arange(len(slates), dtype=np.int64)[:, None] * width + slates
    # An empty position (-1) would have the same key as the last product for the customer before.
    found: Mask = np.isin(keys, owner * width + wanted) & (slates >= 0)
    return found


def truth_sizes(truth: Sequence[Ints]) -> Ints:
    """How many products each truth holds, int32 (n,)."""
    return np.array([len(items) for items in truth], np.int32)


def paired_interval(differences: npt.ArrayLike, *, seed: int = 0) -> tuple[float, float, float]:
    """Mean of a customer's differences between two rankings (n,), and its 95 % interval: (mean, low, high).

    Percentile bootstrap over customers (Efron 1979), the same for the same seed. One customer gives an interval of
    no width, none at all (0, 0, 0).
    """
    column = np.asarray(differences, np.float64).reshape(-1, 1)
    mean, low, high = mean_intervals(column, seed=seed)
    return float(mean[0]), float(low[0]), float(high[0])


def mean_intervals(values: Wide, *, seed: int) -> tuple[Wide, Wide, Wide]:
    """Mean per column of `values` (n, m), and low and high end of its 95 % interval, each (m,).

    Whole rows are drawn again with replacement, so columns of one resample stay paired. No rows give zeros.
    """
    return ratio_intervals(values, np.ones_like(values), seed=seed)


def ratio_intervals(above: Wide, below: Wide, *, seed: int) -> tuple[Wide, Wide, Wide]:
    """Σ above / Σ below per column of two (n, m), and low and high end of its 95 % interval, each (m,).

    For shares whose values belong to customers: all values of a customer are drawn together. Nothing below gives zero.
    """
    count, width = above.shape
    if count == 0:
        return np.zeros(width), np.zeros(width), np.zeros(width)
    ratio = _ratio(above.sum(axis=0), below.sum(axis=0))
    # What is left over the ratio is small, so that sums of equal rows come out exactly equal.
    rest = above - ratio * below
    random = np.random.default_rng(seed)
    rounds = max(1, min(RESAMPLES, _DRAWN_AT_ONCE // count))
    sizes = [min(rounds, RESAMPLES - start) for start in range(0, RESAMPLES, rounds)]
    drawn = np.concatenate([_resampled(np.hstack([rest, below]), size, random) for size in sizes])
    low, high = np.percentile(_ratio(drawn[:, :width], drawn[:, width:]), INTERVAL, axis=0)
    return ratio, ratio + low, ratio + high


def _resampled(values: Wide, rounds: int, random: np.random.Generator) -> Wide:
    """Column sums (rounds, m) of so many draws of all rows with replacement."""
    count = len(values)
    # Each round counts in a range of its own, so that one bincount() serves them all.
    drawn = random.integers(count, size=(rounds, count)) + np.arange(rounds)[:, None] * count
    times = np.bincount(drawn.ravel(), minlength=rounds * count).reshape(rounds, count)
    sums: Wide = times.astype(np.float64) @ values
    return sums


def _ratio(above: Wide, below: Wide) -> Wide:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
