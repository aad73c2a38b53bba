"""What follows what: order in sessions and purchase histories becomes item-to-item chances for the `next` source."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import sparse

from app.domain import Ints
from training.data.dataset import Dataset, Days
from training.learners.statistics import ROW_BLOCK, Neighbours, keep_strongest_of

NEXT_COUNT = 64
MAX_DISTANCE = 10
"""Lines further apart than this say little of each other."""
BACKWARD = 0.5
"""What a step back is worth compared with a step forward; of 0, .3, .45, .6 and 1 the middle ones found most, in
listening sessions and in a year of single purchases alike."""
PAIR_BUDGET = 10_000_000
PRIOR = 5.0
"""Pseudo-steps: an item seen once does not predict its only successor with certainty. Better than 1 on both."""

DETOUR_SHARE, DETOURS = 0.25, 10
"""Of listening sessions' next items that were new to them, .181 were among the best 20, without detours .178; ranking
a year of single purchases by what follows the last ones stays the same (NDCG@10 .138)."""

Lines = npt.NDArray[np.intp]


def transitions(dataset: Dataset) -> Neighbours:
    """Per item the 64 likeliest next ones: `index` int32, `score` float32 in [0, 1], both (n, 64), padded (-1, 0).

    A step of distance d within one session (where people look) or one customer's history (purchases) counts 1/d
    forward and 0.5/d backward; chance = Σ steps i→j / (Σ steps from i + 5). score = 0.75 · chance + 0.25 · Σ chance
    i→k · chance k→j over the 10 likeliest k: pairs too rare to have been seen follow by a detour. Lines of one instant
    have no order and say nothing here; a history without timestamps gives empty rows. Source: sequential rules,
    Kamehkhosh et al. 2017.
    """
    count = len(dataset.product_ids)
    index = np.full((count, NEXT_COUNT), -1, np.int32)
    score = np.zeros((count, NEXT_COUNT), np.float32)
    if dataset.has_time and dataset.line_count:
        steps = _steps(dataset, count)
        total = np.asarray(steps.sum(axis=1)).ravel() + PRIOR
        steps.data /= np.repeat(total, np.diff(steps.indptr))
        for rows, blended in _with_detours(steps):
            keep_strongest_of(index[rows], score[rows], blended)
    return Neighbours(index, score)


def _with_detours(chance: sparse.csr_array) -> Iterator[tuple[slice, sparse.csr_array]]:
    """Blocks of rows, each a mixture of `chance` itself and of two steps of it."""
    likeliest = np.zeros((chance.shape[0], DETOURS), np.int32), np.zeros((chance.shape[0], DETOURS), np.float32)
    keep_strongest_of(*likeliest, chance)
    pointer = np.arange(0, likeliest[0].size + 1, DETOURS)
    # Padding points to item 0 with a chance of 0, which adds nothing.
    via = sparse.csr_array((likeliest[1].ravel(), likeliest[0].ravel(), pointer), shape=chance.shape)
    via.eliminate_zeros()
    for start in range(0, chance.shape[0], ROW_BLOCK):
        rows = slice(start, start + ROW_BLOCK)
        twice = (via[rows] @ via).tocoo()
        # Coming back to the item itself is no step.
        twice.data[twice.row + start == twice.col] = 0
        yield rows, (1 - DETOUR_SHARE) * chance[rows] + DETOUR_SHARE * twice


def _steps(dataset: Dataset, count: int) -> sparse.csr_array:
    """Weighted steps from item (row) to item (column)."""
    rows, columns, weights = zip(*_pairs(dataset), strict=True)
    # A pair is repeated for each step between its items: tocsr() adds these up.
    forward = sparse.coo_array(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count)
    ).tocsr()
    both: sparse.csr_array = (forward + BACKWARD * forward.T).tocsr()
    return both


def _pairs(dataset: Dataset) -> Iterator[tuple[Ints, Ints, npt.NDArray[np.float32]]]:
    """Items of lines s apart, for s = 1, 2, …, with 1/distance; distance counts the instants between them."""
    unit, day, item = _order_of_events(dataset)
    # The item as the last key: lines of one instant come in the same order whatever the import's was.
    order: Lines = np.lexsort((item, day, unit))
    unit, day, item = unit[order], day[order], item[order]
    instant = np.cumsum(np.r_[False, (np.diff(day) != 0) | (np.diff(unit) != 0)])
    # A long history is searched less far, which keeps the pairs within their budget.
    reach = int(np.clip(PAIR_BUDGET // len(order), 1, MAX_DISTANCE))
    for apart in range(1, reach + 1):
        distance = instant[apart:] - instant[:-apart]
        same = np.flatnonzero((unit[apart:] == unit[:-apart]) & (distance > 0) & (item[apart:] != item[:-apart]))
        yield item[same], item[same + apart], (1 / distance[same]).astype(np.float32)


def _order_of_events(dataset: Dataset) -> tuple[Ints, Days, Ints]:
    """Session or customer, instant and item of each step."""
    if dataset.views is not None:
        return dataset.views.session, dataset.views.day, dataset.views.item
    return dataset.customer if dataset.has_purchases else dataset.basket, dataset.day, dataset.item
