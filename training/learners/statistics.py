"""Counts that need no model: popularity, repeat rate, co-purchase neighbours, trending lists."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from app.domain import Floats, Ints, Mask
from training.data.dataset import Dataset, Pairs

POPULARITY_HALF_LIFE_DAYS = 28
TRENDING_HALF_LIFE_DAYS = 7
TRENDING_COUNT = 200
NEIGHBOUR_COUNT = 32
REPEAT_PRIOR_BUYERS = 10
NEIGHBOUR_PRIOR_BASKETS = 5
"""Pseudo-count that pulls pairs seen together only once or twice towards zero."""
ROW_BLOCK = 4096
MAX_BASKET_ITEMS = 1000
"""A larger basket is thinned at random: its pairs say little and cost the square of its size."""
PAIR_BUDGET = 8_000_000
"""Products of basket entries per block: bounds memory at about 200 MB."""
MIN_GROUP_BUYERS = 20


@dataclass(frozen=True, slots=True)
class Neighbours:
    """`index` int32 and `score` float32 in [0, 1], both (n, 32), strongest first, padded with -1 and 0."""

    index: Ints
    score: Floats


@dataclass(frozen=True, slots=True)
class Trending:
    """`index` int32, `score` float32 in [0, 1], both (groups, 200), strongest first, padded with -1 and 0."""

    groups: list[str]
    index: Ints
    score: Floats


def popularity(pairs: Pairs, item_count: int, *, as_of_day: float) -> Floats:
    """Share in [0, 1] per item, float32 (n,): buyers, each worth 2^(-age of last purchase/28 d); max = 1."""
    weight = _freshness(pairs.last_day, as_of_day, POPULARITY_HALF_LIFE_DAYS)
    return _scaled(np.bincount(pairs.item, weight, item_count))


def repeat_rate(pairs: Pairs, item_count: int) -> Floats:
    """Share of an item's buyers with two or more baskets, float32 (n,), shrunk towards the overall share."""
    buyers = np.bincount(pairs.item, minlength=item_count)
    repeaters = np.bincount(pairs.item, pairs.count >= 2, item_count)
    overall = repeaters.sum() / max(buyers.sum(), 1)
    rate = (repeaters + REPEAT_PRIOR_BUYERS * overall) / (buyers + REPEAT_PRIOR_BUYERS)
    return np.asarray(rate, np.float32)


def neighbours(dataset: Dataset, *, seed: int, pair_budget: int = PAIR_BUDGET) -> Neighbours:
    """Each item's 32 strongest companions in baskets.

    score = cosine of the two items' basket sets × n/(n + 5), n = baskets that hold both.
    """
    item_count = len(dataset.product_ids)
    baskets = _basket_matrix(dataset, seed=seed)
    size = np.asarray(baskets.sum(axis=0)).ravel()
    index = np.full((item_count, NEIGHBOUR_COUNT), -1, np.int32)
    score = np.zeros((item_count, NEIGHBOUR_COUNT), np.float32)
    # By rows, because blocks of items are cut from it.
    by_item = baskets.T.tocsr()
    for start, end in _blocks(by_item, baskets, pair_budget=pair_budget):
        together = (by_item[start:end] @ baskets).tocoo()
        row, other, count = together.row, together.col, together.data
        strength = count / np.sqrt(size[row + start] * size[other]) * (count / (count + NEIGHBOUR_PRIOR_BASKETS))
        foreign = other != row + start
        keep_strongest(index[start:end], score[start:end], row[foreign], other[foreign], strength[foreign])
    return Neighbours(index, score)


def trending(dataset: Dataset) -> Trending:
    """What sells now, overall, per store and per department: decayed lines (half-life 7 d), scaled per group.

    Groups with fewer than 20 buyers are left out, except "all".
    """
    weight = _freshness(dataset.day, dataset.as_of_day, TRENDING_HALF_LIFE_DAYS)
    groups, tops = ["all"], [_top(dataset.item, weight)]
    for name, lines in _group_lines(dataset):
        if len(np.unique(dataset.customer[lines])) >= MIN_GROUP_BUYERS:
            groups.append(name)
            tops.append(_top(dataset.item[lines], weight[lines]))
    return Trending(groups, np.stack([index for index, _ in tops]), np.stack([score for _, score in tops]))


def _group_lines(dataset: Dataset) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
    yield from _split_lines("store", dataset.store, dataset.store_ids)
    department = dataset.catalogue.attributes.get("department")
    if department is not None:
        yield from _split_lines("segment", department.codes[dataset.item], department.vocabulary)


def _split_lines(kind: str, codes: Ints, names: list[str]) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
    # Lines without a group (-1) come first, before the bounds of code 0, and so belong to none.
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    for code, name in enumerate(names):
        yield f"{kind}:{name}", order[bounds[code] : bounds[code + 1]]


def _top(item: Ints, weight: npt.NDArray[np.float64]) -> tuple[Ints, Floats]:
    distinct, position = np.unique(item, return_inverse=True)
    total = _scaled(np.bincount(position, weight, len(distinct)))
    # Items are numbered by falling buyers, so that with a stable sort the better seller wins a tie.
    best = np.argsort(-total, kind="stable")[:TRENDING_COUNT]
    index = np.full(TRENDING_COUNT, -1, np.int32)
    score = np.zeros(TRENDING_COUNT, np.float32)
    index[: len(best)], score[: len(best)] = distinct[best], total[best]
    return index, score


def _basket_matrix(dataset: Dataset, *, seed: int) -> sparse.csr_array:
    """1 where a basket (row) holds an item (column), float32; baskets thinned to 1000 items at random."""
    # In random order within a basket the first 1,000 are a fair sample of it.
    order = np.lexsort((np.random.default_rng(seed).random(dataset.line_count), dataset.basket))
    basket, item = dataset.basket[order], dataset.item[order]
    # A line's number less that of the first line of its basket.
    position_in_basket = np.arange(len(basket)) - np.searchsorted(basket, basket)
    kept = position_in_basket < MAX_BASKET_ITEMS
    shape = (int(basket.max(initial=-1)) + 1, len(dataset.product_ids))
    # Single precision counts exactly up to 16.7 million baskets and halves the memory of these sums.
    ones = np.ones(int(kept.sum()), np.float32)
    return sparse.csr_array((ones, (basket[kept], item[kept])), shape=shape)


def _blocks(by_item: sparse.csr_array, baskets: sparse.csr_array, *, pair_budget: int) -> Iterator[tuple[int, int]]:
    """Runs of items whose basket-mates, counted with repetition, stay within `pair_budget` (or one item)."""
    # An upper bound for the entries of an item's row: each of its baskets brings all that it holds.
    mates = by_item @ np.diff(baskets.indptr)
    start, load = 0, 0.0
    for item, more in enumerate(mates):
        if load + more > pair_budget and item > start:
            yield start, item
            start, load = item, 0.0
        load += more
    if start < len(mates):
        yield start, len(mates)


def keep_strongest_of(index: Ints, score: Floats, matrix: sparse.csr_array) -> None:
    """Write the strongest entries of each row of `matrix` into `index` and `score`, both (rows, K)."""
    for start in range(0, matrix.shape[0], ROW_BLOCK):
        here = slice(start, start + ROW_BLOCK)
        entries = matrix[here].tocoo()
        keep_strongest(index[here], score[here], entries.row, entries.col, entries.data)


def keep_strongest(index: Ints, score: Floats, row: Ints, other: Ints, strength: Floats) -> None:
    """Write each row's strongest into `index` and `score`, both (rows, K) (ties: the better seller first).

    `row` ascending.
    """
    able = _among_strongest(row, strength, len(index), index.shape[1])
    row, other, strength = row[able], other[able], strength[able]
    order = np.lexsort((other, -strength, row))
    row, other, strength = row[order], other[order], strength[order]
    position = np.arange(len(row)) - np.searchsorted(row, row)
    kept = position < index.shape[1]
    index[row[kept], position[kept]] = other[kept]
    score[row[kept], position[kept]] = strength[kept]


def _among_strongest(row: Ints, strength: Floats, row_count: int, count: int) -> Mask:
    """False for what is weaker than the `count` strongest of its row; sorting that as well takes ten times as long."""
    able = np.ones(len(row), np.bool_)
    bounds = np.searchsorted(row, np.arange(row_count + 1))
    for one in np.flatnonzero(np.diff(bounds) > count).tolist():
        here = slice(bounds[one], bounds[one + 1])
        able[here] = strength[here] >= np.partition(strength[here], -count)[-count]
    return able


def _freshness(day: npt.NDArray[np.float64], as_of_day: float, half_life_days: float) -> npt.NDArray[np.float64]:
    """2^(-age / half-life); all ones without timestamps, where every day is zero."""
    return np.exp2((day - as_of_day) / half_life_days)


def _scaled(total: npt.NDArray[np.floating] | npt.NDArray[np.signedinteger]) -> Floats:
    return np.asarray(total / max(total.max(initial=0), 1e-12), np.float32)
