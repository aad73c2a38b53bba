"""Which past windows tune and teach a run, and which one is kept for the evaluation."""

import numpy as np

from training.data.dataset import Dataset
from training.data.split import Split, make_splits, random_split
from training.queries.evaluation_queries import MAX_CUSTOMERS

RANDOM_WINDOWS = 2
"""Where no time splits the history, so many times customers' products are held out at random for tuning; once suffices
where MAX_CUSTOMERS can be queried."""
ENOUGH_QUERIES, ENOUGH_VIEWS = 8_000, 16_000
"""Older windows are left out once newer ones hold so many queries, more where nothing is ever bought: such a query has
one product to find. On sessions trees of 8,000, 12,000 and 16,000 ranked what was viewed next at MRR@20 .110, .111 and
.112, each the mean of four seeds, which differ by .001."""


def test_and_tuning_splits(dataset: Dataset, *, seed: int, max_windows: int) -> tuple[Split, list[Split]]:
    """The test split, and at most `max_windows` earlier ones that tune; nothing of the first is in the second."""
    splits = make_splits(dataset, seed=seed, window_count=1 + max_windows)
    if len(splits) > 1:
        # In how many windows the queries before each of them lie: a shop with many customers needs fewer.
        before = np.cumsum([0, *(min(len(split.truth), MAX_CUSTOMERS) for split in splits[1:-1])])
        enough = ENOUGH_QUERIES if dataset.has_purchases else ENOUGH_VIEWS
        return splits[0], splits[1 : 1 + int(np.searchsorted(before, enough))]
    wanted = RANDOM_WINDOWS if len(splits[0].truth) < MAX_CUSTOMERS else 1
    numbers = range(1, 1 + min(wanted, max_windows))
    # A seed for each window, or all of them would hold out the same products.
    return splits[0], [random_split(splits[0].train, seed=seed + number) for number in numbers]
