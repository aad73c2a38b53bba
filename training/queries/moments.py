"""Questions of the minutes and hours after a purchase, which the instant of a cut hardly ever is."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from app.domain import PURCHASE, LiveEvent, ProductId
from training.data.dataset import Dataset
from training.data.split import Split
from training.queries.evaluation_queries import DAY_S, EvaluationQueries

EVERY = 4
"""Of so many queries one becomes such a moment, where the customer came back soon."""
MIN_MINUTES, MAX_MINUTES = 5.0, 8 * 60.0
MAX_WAIT_DAYS = 2.0
"""A basket that comes later belongs to another occasion, mostly with other promotions: the hours before say little."""

Lines = npt.NDArray[np.intp]
NO_LINES: Lines = np.zeros(0, np.intp)


def after_purchases(all_queries: EvaluationQueries, dataset: Dataset, split: Split, *, seed: int) -> EvaluationQueries:
    """Some of the queries moved behind the purchase that they are for, with the basket of the next two days as truth.

    That purchase is known by its events, as a server knows it before the next features: `dataset` is whole, and of it
    nothing at or after the split's end is used. Each lies 5 minutes to 8 hours after the purchase, more of them early.
    Uncounted are those that would have been moved had the customer come back sooner.
    """
    if split.end_day is None or not dataset.has_purchases:
        return all_queries
    baskets = _first_two_baskets(dataset, split, all_queries)
    random = np.random.default_rng(seed)
    queries, states, truths = list(all_queries.queries), list(all_queries.states), list(all_queries.truth)
    uncounted = set(all_queries.uncounted)
    for position in range(1, len(queries), EVERY):
        later = np.exp(random.uniform(np.log(MIN_MINUTES), np.log(MAX_MINUTES))) / (24 * 60)
        if queries[position].basket or queries[position].recent:
            continue
        code = all_queries.codes[position]
        bought, then = baskets.get(code, (NO_LINES, NO_LINES))
        now_day = float(dataset.day[bought].max(initial=-np.inf)) + later
        if not now_day < float(dataset.day[then].min(initial=np.inf)) < now_day + MAX_WAIT_DAYS:
            uncounted.add(code)
            continue
        queries[position] = replace(queries[position], now_at=datetime.fromtimestamp(now_day * DAY_S, UTC))
        events = [*states[position].events, *_purchases(dataset, bought)]
        states[position] = replace(states[position], events=events)
        truths[position] = np.unique(dataset.item[then])
    return EvaluationQueries(queries, states, truths, all_queries.codes, frozenset(uncounted))


def _first_two_baskets(dataset: Dataset, split: Split, queries: EvaluationQueries) -> Mapping[int, tuple[Lines, Lines]]:
    """Per customer of the queries who bought twice within the window: the lines of both baskets."""
    there = np.flatnonzero((dataset.day >= split.train.as_of_day) & (dataset.day < (split.end_day or 0)))
    there = there[np.isin(dataset.customer[there], np.asarray(queries.codes, np.int32))]
    # Lines run by time: a stable sort leaves each customer's in order.
    there = there[np.argsort(dataset.customer[there], kind="stable")]
    return dict(_pairs_of_baskets(dataset, there))


def _pairs_of_baskets(dataset: Dataset, by_customer: Lines) -> Iterator[tuple[int, tuple[Lines, Lines]]]:
    customers, starts = np.unique(dataset.customer[by_customer], return_index=True)
    for customer, lines in zip(customers.tolist(), np.split(by_customer, starts[1:]), strict=False):
        first = dataset.basket[lines] == dataset.basket[lines[0]]
        others = lines[~first]
        if len(others):
            yield customer, (lines[first], others[dataset.basket[others] == dataset.basket[others[0]]])


def _purchases(dataset: Dataset, lines: Lines) -> list[LiveEvent]:
    return [
        LiveEvent(
            str(line),
            PURCHASE,
            float(dataset.day[line]) * DAY_S,
            ProductId(dataset.product_ids[dataset.item[line]]),
            float(dataset.quantity[line]),
            basket_id=str(dataset.basket[line]),
        )
        for line in lines.tolist()
    ]
