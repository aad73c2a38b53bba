"""What each candidate source finds of the truth: alone, and that no other source finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain import Ints, Mask
from training.metrics.ranking import METRIC_NAMES, Wide, found_positions, per_customer, side_by_side, truth_sizes

CUTOFF = 10


@dataclass(frozen=True, slots=True)
class Contribution:
    """Per customer (n,): how many `candidates` a source gave, its `recall` at 10 alone, shares of the truth found.

    `found` = share of the truth among its candidates, `only` = share that no other source had among its own.
    """

    candidates: Wide
    recall: Wide
    found: Wide
    only: Wide


@dataclass(frozen=True, slots=True)
class Contributions:
    """Every source's own, and per customer (n,) the share of the truth that any source found."""

    each: Mapping[str, Contribution]
    found_by_any: Wide


def contributions(by_source: Sequence[Mapping[str, Ints]], truth: Sequence[Ints]) -> Contributions:
    """Per customer each source's candidates, in the source's own order, against a truth that is not empty."""
    # In the sources' order, which a set would lose; one that failed for a customer is missing from that row.
    names = list(dict.fromkeys(name for row in by_source for name in row))
    lists = {name: [_first_of_each(row.get(name, _NONE)) for row in by_source] for name in names}
    sizes = truth_sizes(truth).astype(np.float64)
    finders = np.zeros(int(sizes.sum()), np.intp)
    owner = np.repeat(np.arange(len(truth)), truth_sizes(truth))
    hits = {name: _hits(lists[name], truth) for name in names}
    for found in hits.values():
        finders += found
    return Contributions(
        {
            name: Contribution(
                candidates=np.array([len(items) for items in lists[name]], np.float64),
                recall=_recall(lists[name], truth),
                found=np.bincount(owner, hits[name], len(truth)) / sizes,
                only=np.bincount(owner, hits[name] & (finders == 1), len(truth)) / sizes,
            )
            for name in names
        },
        np.bincount(owner, finders > 0, len(truth)) / sizes,
    )


_NONE = np.zeros(0, np.int32)


def _first_of_each(items: Ints) -> Ints:
    """The items in their order, each once."""
    _, first = np.unique(items, return_index=True)
    return items[np.sort(first)]


def _hits(lists: Sequence[Ints], truth: Sequence[Ints]) -> Mask:
    """For every product of every truth, one customer's after another's: whether the list holds it."""
    return np.concatenate([*(np.isin(wanted, items) for wanted, items in zip(truth, lists, strict=True)), _NO_HITS])


_NO_HITS = np.zeros(0, np.bool_)


def _recall(lists: Sequence[Ints], truth: Sequence[Ints]) -> Wide:
    found = found_positions(side_by_side(lists, k=CUTOFF), truth)
    return per_customer(found, truth_sizes(truth), k=CUTOFF)[:, METRIC_NAMES.index("recall")]
