"""Held-out baskets become queries to the pipeline that serves: what tuning, evaluation and release all rank."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import numpy as np

from app.decision.customer.kinds import kind_of
from app.decision.pipeline import Options
from app.domain import PURCHASE, Ints, Line, ProductId, Query
from app.ports import CustomerState
from training.data.dataset import Dataset
from training.data.shop import shop_facts
from training.data.split import Split
from training.queries.states import as_of_instant

DAY_S = 86_400
CUTOFFS = (5, 10, 20)
MAX_CUSTOMERS = 4000
AFTER_PURCHASE = "after_purchase"
UNCOUNTED = "uncounted"
"""Learned from, but no kinds of their own when they are answered: no calibration counts them."""
# The features of a query are as of the query, so none are stale.
OPTIONS = Options(stale_after_s=float("inf"))


@dataclass(frozen=True, slots=True)
class EvaluationQueries:
    """One query per customer of a split, with the items that the customer went on to buy; `codes` = who.

    `uncounted`: whose query stayed what it was because of what they bought. Counted with those that nobody chose, they
    would make a purchase look less likely than it is.
    """

    queries: Sequence[Query]
    states: Sequence[CustomerState]
    truth: Sequence[Ints]
    codes: Sequence[int] = ()
    uncounted: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.queries)

    def __iter__(self) -> Iterator[tuple[Query, CustomerState, Ints]]:
        return zip(self.queries, self.states, self.truth, strict=True)

    def kinds(self) -> list[str]:
        """The kind of each question; AFTER_PURCHASE where events tell of a purchase of the hours before."""
        codes = self.codes or [-1] * len(self)
        return [
            AFTER_PURCHASE
            if any(event.type == PURCHASE for event in state.events)
            else UNCOUNTED
            if code in self.uncounted
            else kind_of(query)
            for query, state, code in zip(self.queries, self.states, codes, strict=True)
        ]

    def only(self, rows: Sequence[int]) -> "EvaluationQueries":
        """Those at these positions."""
        return EvaluationQueries(
            [self.queries[row] for row in rows],
            [self.states[row] for row in rows],
            [self.truth[row] for row in rows],
            [self.codes[row] for row in rows] if self.codes else (),
            self.uncounted,
        )


def build_queries(split: Split, states: Mapping[str, CustomerState], *, seed: int) -> EvaluationQueries:
    """A query as of the cut, or a little later, for each customer with truth, at most MAX_CUSTOMERS of them."""
    codes = sampled(split, seed=seed)
    ids = [split.train.customer_ids[code] for code in codes]
    now_at = query_instant(split) if split.train.promotions is not None else as_of_instant(split.train)
    # What is learned and measured is the ranking of all goods: where some may be shown is for placements to say.
    template = Query(placement="evaluation", size=max(CUTOFFS), now_at=now_at, allows_age_restricted=True)
    return EvaluationQueries(
        queries=[
            replace(template, customer_id=customer_id, recent=_recent(split, code))
            for customer_id, code in zip(ids, codes, strict=True)
        ],
        states=[states.get(customer_id, CustomerState()) for customer_id in ids],
        truth=[split.truth[code] for code in codes],
        codes=codes,
    )


def query_instant(split: Split) -> datetime:
    """Where there are promotions: an instant of the day in which customers buy next."""
    if split.query_day is None:
        return as_of_instant(split.train)
    return datetime.fromtimestamp(split.query_day * DAY_S, UTC)


def _recent(split: Split, code: int) -> tuple[ProductId, ...]:
    """What the customer viewed in the visit that the query belongs to, latest first."""
    ids = split.train.product_ids
    return tuple(ProductId(ids[item]) for item in split.prefix.get(code, ()))


def with_baskets(all_queries: EvaluationQueries, product_ids: Sequence[str], *, seed: int) -> EvaluationQueries:
    """Every second query, unless it belongs to a visit, with a quarter of its truth (1 to 3 products) in the basket.

    Otherwise no query has a basket, and nothing could be learned of what is bought together. Uncounted are those of
    them whose truth is too small for that.
    """
    random = np.random.default_rng(seed)
    queries, truths, uncounted = list(all_queries.queries), list(all_queries.truth), set(all_queries.uncounted)
    for position in range(0, len(queries), 2):
        if queries[position].recent:
            continue
        if len(truths[position]) < 2:
            uncounted.update(all_queries.codes[position : position + 1])
            continue
        shuffled = random.permutation(truths[position])
        count = int(np.clip(len(shuffled) // 4, 1, 3))
        basket = tuple(Line(ProductId(product_ids[item])) for item in shuffled[:count])
        queries[position] = replace(queries[position], basket=basket)
        truths[position] = np.sort(shuffled[count:])
    return EvaluationQueries(queries, all_queries.states, truths, all_queries.codes, frozenset(uncounted))


def sampled(split: Split, *, seed: int) -> list[int]:
    """The customers of the queries: all with truth, or MAX_CUSTOMERS of them at random, the same for the same seed.

    Of sessions those with more moments to ask at are likelier.
    """
    # Sorted, because the seed draws positions: another order would give other customers.
    codes = np.array(sorted(split.truth), np.int32)
    if len(codes) > MAX_CUSTOMERS:
        moments = np.array([split.moments.get(code, 1) for code in codes.tolist()], np.float64)
        chosen = np.random.default_rng(seed).choice(codes, MAX_CUSTOMERS, replace=False, p=moments / moments.sum())
        codes = np.sort(chosen)
    return [int(code) for code in codes]


def dataset_facts(dataset: Dataset) -> dict[str, object]:
    """How much there was to learn from."""
    facts: dict[str, object] = {
        "customers": len(dataset.customer_ids),
        "products": len(dataset.product_ids),
        "lines": dataset.line_count,
        "has_time": dataset.has_time,
        "shop": asdict(shop_facts(dataset)),
    }
    if dataset.promotions is not None:
        facts |= dataset.promotions.facts(dataset.as_of_day, line_count=dataset.line_count)
    return facts
