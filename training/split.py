"""The dataset is cut into what a model may learn from and the baskets it must foretell."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain import Ints
from training.dataset import Dataset

MAX_WINDOW_DAYS = 28
"""Four weeks hold every weekday alike and nearly every regular customer's next basket."""
WINDOW_SHARE = 0.1
"""At most a tenth of the history is held back per window."""
MIN_CUSTOMERS = 20
HELD_OUT_SHARE = 0.2

Lines = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Split:
    """`train` as of the cut; `truth`: customer code → distinct items, ascending, of the basket to foretell."""

    kind: str
    train: Dataset
    truth: Mapping[int, Ints]


def make_splits(dataset: Dataset, *, seed: int, window_count: int = 2) -> list[Split]:
    """Time splits at the ends of the last windows, newest first; one random split where time does not tell.

    Two windows, because one alone carries its season into the weights (measured: the week after Thanksgiving).
    """
    if dataset.has_time:
        splits = [time_split(dataset, windows_back=back) for back in range(1, window_count + 1)]
        usable = [split for split in splits if len(split.truth) >= MIN_CUSTOMERS]
        if usable:
            return usable
    return [random_split(dataset, seed=seed)]


def time_split(dataset: Dataset, *, windows_back: int = 1) -> Split:
    """Train on all before the cut; truth = each known customer's first basket in the window after it.

    Window = min(28 days, a tenth of the history's span); the cut lies `windows_back` windows before the end.
    """
    window = min(MAX_WINDOW_DAYS, WINDOW_SHARE * float(np.ptp(dataset.day)))
    cut = dataset.as_of_day - windows_back * window
    past = dataset.day < cut
    in_window = np.flatnonzero(~past & (dataset.day < cut + window))
    known = in_window[np.isin(dataset.customer[in_window], dataset.customer[past])]
    by_customer = known[np.lexsort((dataset.basket[known], dataset.day[known], dataset.customer[known]))]
    truth = _group_items(dataset, _first_basket_lines(dataset, by_customer))
    return Split("time", dataset.only(past, as_of_day=cut), truth)


def random_split(dataset: Dataset, *, seed: int) -> Split:
    """Truth = one basket at random of customers with several, else a fifth (at least one) of two or more items."""
    shuffled = _shuffled_by_customer(dataset, seed=seed)
    held = np.concatenate([_one_basket(dataset, shuffled), _some_items(dataset, shuffled)])
    past = np.ones(dataset.line_count, np.bool_)
    past[held] = False
    return Split("random", dataset.only(past, as_of_day=dataset.as_of_day), _group_items(dataset, held))


def _shuffled_by_customer(dataset: Dataset, *, seed: int) -> Lines:
    """All lines, customer after customer, baskets in random order, items in random order within them."""
    random = np.random.default_rng(seed)
    basket_rank = random.permutation(int(dataset.basket.max(initial=-1)) + 1)[dataset.basket]
    order: Lines = np.lexsort((random.random(dataset.line_count), basket_rank, dataset.customer))
    return order


def _one_basket(dataset: Dataset, by_customer: Lines) -> Lines:
    several = by_customer[_has_several_baskets(dataset)[dataset.customer[by_customer]]]
    return _first_basket_lines(dataset, several)


def _some_items(dataset: Dataset, by_customer: Lines) -> Lines:
    """The first fifth of the lines, rounded up, of each customer who has one basket of two or more items."""
    single = by_customer[~_has_several_baskets(dataset)[dataset.customer[by_customer]]]
    customer = dataset.customer[single]
    place = np.arange(len(single)) - np.searchsorted(customer, customer)
    size = np.bincount(customer, minlength=len(dataset.customer_ids))[customer]
    held: Lines = single[(place < np.ceil(HELD_OUT_SHARE * size)) & (size >= 2)]
    return held


def _has_several_baskets(dataset: Dataset) -> npt.NDArray[np.bool_]:
    _, first_line = np.unique(dataset.basket, return_index=True)
    return np.bincount(dataset.customer[first_line], minlength=len(dataset.customer_ids)) >= 2


def _first_basket_lines(dataset: Dataset, by_customer: Lines) -> Lines:
    """Of lines grouped by customer: those of the basket that comes first for their customer."""
    customer = dataset.customer[by_customer]
    first_of_own = by_customer[np.searchsorted(customer, customer)]
    lines: Lines = by_customer[dataset.basket[by_customer] == dataset.basket[first_of_own]]
    return lines


def _group_items(dataset: Dataset, lines: Lines) -> dict[int, Ints]:
    order = lines[np.lexsort((dataset.item[lines], dataset.customer[lines]))]
    customers, starts = np.unique(dataset.customer[order], return_index=True)
    groups = np.split(dataset.item[order], starts[1:])
    return {int(customer): np.unique(items) for customer, items in zip(customers, groups, strict=False)}
