"""Held-out queries replayed on finished bundles through the pipeline that serves: what the gate compares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from app.decision.pipeline import rank
from app.domain import ProductId, Query
from app.feature_fields import product_key
from app.history import History
from app.model.bundle import Bundle
from app.model.promotions.table import FILE as PROMOTIONS_FILE
from app.ports import CustomerState, StageProgress
from app.settings import Settings
from app.slates import Slate
from training.data.dataset import load_interactions, product_table
from training.data.promotions import rows_between
from training.data.split import Split, make_splits
from training.metrics.ranking import METRIC_NAMES, Wide, one_customer
from training.queries.evaluation_queries import DAY_S, OPTIONS, EvaluationQueries, build_queries, query_instant
from training.queries.states import as_of_instant, states_for

MAX_CUSTOMERS = 1000
"""Replayed in a second, and enough to tell a loss of 0.01 NDCG@10 from noise (docs/releases.md)."""
CUTOFF = 10
COLD_QUERY_COUNT = 50
DAYS_BEFORE = 8
"""A decision compares its promotions with those of a week before."""


@dataclass(frozen=True, slots=True)
class HeldOutQueries:
    """Queries of the history's last window, as of `cut_at` (None without times); `product_ids` name their truth.

    `discovery` holds those who bought something for the first time, without what they own: where most purchases are
    repeats, `every` alone would not notice that nobody finds anything new any more. `promotions`: the table, if any.
    """

    every: EvaluationQueries
    discovery: EvaluationQueries
    product_ids: Sequence[str]
    cut_at: datetime | None
    promotions: Path | None = None

    @property
    def count(self) -> int:
        """How many customers there are; 0 where the history holds nobody to predict for."""
        return len(self.every)


NO_QUERIES = EvaluationQueries([], [], [])
NOTHING_HELD_OUT = HeldOutQueries(NO_QUERIES, NO_QUERIES, [], cut_at=None)


@dataclass(frozen=True, slots=True)
class Replay:
    """What one bundle answered: NDCG@10 per customer (n,), of new products (m,), distinct products, what broke."""

    version: str
    ndcg: Wide
    new_ndcg: Wide
    shown_count: int
    broken: Sequence[str]


def held_out_queries(settings: Settings, *, seed: int) -> HeldOutQueries:
    """A query for at most 1,000 customers of the last window, the same for the same history and seed."""
    history = History(settings.history_dir)
    with history.kept():
        return _drawn(settings, history.scan(), seed=seed)


def _drawn(settings: Settings, history: pl.LazyFrame, *, seed: int) -> HeldOutQueries:
    products = product_table(settings)
    dataset = load_interactions(history, None if products is None else products.collect())
    if dataset.line_count == 0:
        return NOTHING_HELD_OUT
    split = _fewer(make_splits(dataset, seed=seed, window_count=1)[0], seed=seed)
    queries = build_queries(split, states_for(history, products, split, sorted(split.truth)), seed=seed)
    cut_at = as_of_instant(split.train) if split.kind == "time" else None
    promotions = settings.tables_dir / PROMOTIONS_FILE
    is_promoted = cut_at is not None and promotions.exists()
    sized = EvaluationQueries([replace(query, size=CUTOFF) for query in queries.queries], queries.states, queries.truth)
    if is_promoted:
        sized = replace(sized, queries=[replace(query, now_at=query_instant(split)) for query in sized.queries])
    new = _new_only(sized, dataset.product_ids)
    return HeldOutQueries(sized, new, dataset.product_ids, cut_at, promotions if is_promoted else None)


def replay(bundle: Bundle, held_out: HeldOutQueries, progress: StageProgress) -> Replay:
    """What `bundle` answers to every query, and to some of unknown customers, so that their scores are seen as well."""
    broken: list[str] = []
    bundle = at_their_time(bundle, held_out)
    # A broken bundle would warn at every query; what is not finite is counted in `broken` instead.
    with threadpool_limits(1), np.errstate(all="ignore"):
        for query in _cold_queries(bundle):
            _answer(bundle, query, CustomerState(), broken)
        slates = _answers(bundle, held_out.every, broken, progress)
        new = _answers(bundle, held_out.discovery, broken, lambda *_: None)
    code_of = {product_id: code for code, product_id in enumerate(held_out.product_ids)}
    return Replay(
        bundle.version,
        _ndcg(slates, held_out.every, code_of),
        _ndcg(new, held_out.discovery, code_of),
        len(set(chain.from_iterable(slates))),
        broken,
    )


def at_their_time(bundle: Bundle, held_out: HeldOutQueries) -> Bundle:
    """The bundle with the promotions around the queries; it holds those of its own time, which are weeks later."""
    if bundle.promotions is None or held_out.promotions is None or not held_out.count:
        return bundle
    day = held_out.every.queries[0].now_at.timestamp() / DAY_S
    stores = list(bundle.promotions.store_of)
    rows = rows_between(held_out.promotions, bundle.catalogue.product_ids, stores, days=(day - DAYS_BEFORE, day + 1))
    known = bundle.promotions.with_rows(rows.item, rows.store, rows.minutes, rows.shown)
    return replace(bundle, promotions=known)


def _new_only(queries: EvaluationQueries, product_ids: Sequence[str]) -> EvaluationQueries:
    """The queries whose truth holds products that the customer never bought, with those alone as truth."""
    keys = np.array([product_key(product_id) for product_id in product_ids])
    chosen, states, truths = [], [], []
    for query, state, truth in queries:
        # By key, because the features that a decision reads hold no product ids.
        owned = np.zeros(0) if state.features is None else state.features.bought_keys
        new = truth[~np.isin(keys[truth], owned)]
        if len(new):
            chosen.append(replace(query, exclude_purchased=True))
            states.append(state)
            truths.append(new)
    return EvaluationQueries(chosen, states, truths)


def _answers(bundle: Bundle, queries: EvaluationQueries, broken: list[str], progress: StageProgress) -> list[list[str]]:
    slates = []
    for number, (query, state, _) in enumerate(queries, start=1):
        slates.append(_answer(bundle, query, state, broken))
        progress(number, len(queries))
    return slates


def _fewer(split: Split, *, seed: int) -> Split:
    """The split with the truth of at most MAX_CUSTOMERS customers, at random."""
    codes = np.array(sorted(split.truth), np.int64)
    if len(codes) <= MAX_CUSTOMERS:
        return split
    chosen = np.random.default_rng(seed).choice(codes, MAX_CUSTOMERS, replace=False)
    return replace(split, truth={int(code): split.truth[int(code)] for code in chosen})


def _cold_queries(bundle: Bundle) -> list[Query]:
    """Queries of people of whom one viewed product is known, or nothing."""
    ids = bundle.catalogue.product_ids
    template = Query("evaluation", CUTOFF, datetime.now(UTC), anonymous_id="unknown", allows_age_restricted=True)
    # From the best seller to what nobody bought, so that scores of rare products are seen as well.
    positions = np.linspace(0, len(ids) - 1, min(COLD_QUERY_COUNT, len(ids))).astype(int)
    return [template, *(replace(template, recent=(ProductId(ids[position]),)) for position in positions)]


def _answer(bundle: Bundle, query: Query, state: CustomerState, broken: list[str]) -> list[str]:
    """The products shown, best first; what went wrong is added to `broken`."""
    try:
        slate = rank(query, bundle, state, OPTIONS)
    except Exception as error:  # noqa: BLE001 - whatever a candidate does wrong, the gate reports it
        broken.append(repr(error))
        return []
    broken += _faults(slate)
    return [proposition.product_id for proposition in slate.propositions]


def _faults(slate: Slate) -> list[str]:
    faults = [f"source {name} failed" for name in slate.trace.failed_sources]
    numbers = [number for one in slate.propositions for number in (one.score, one.probability)]
    # A score that is no number is shown as a finite one that ranks last: nan_count has it.
    if slate.trace.nan_count or not np.isfinite(numbers).all():
        faults.append("a score is not finite")
    return faults


def _ndcg(slates: Sequence[Sequence[str]], queries: EvaluationQueries, code_of: Mapping[str, int]) -> Wide:
    """NDCG@10 of each slate; a product that the history does not know cannot be right."""
    position = METRIC_NAMES.index("ndcg")
    coded = [np.array([code_of.get(product_id, -1) for product_id in slate], np.int32) for slate in slates]
    rows = [one_customer(codes, truth, k=CUTOFF)[position] for codes, truth in zip(coded, queries.truth, strict=True)]
    return np.array(rows, np.float64)
