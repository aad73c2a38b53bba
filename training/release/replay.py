"""Held-out questions put to finished artefacts, through the pipeline that serves: what a release is judged by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain

import numpy as np
from threadpoolctl import threadpool_limits

from app.decision.pipeline import rank
from app.domain import ProductId, Query, Slate
from app.feature_fields import product_key
from app.history import History
from app.model.bundle import Bundle
from app.ports import CustomerState, StageProgress
from app.settings import Settings
from training.data.dataset import load_interactions, product_table
from training.data.split import Split, make_splits
from training.metrics.ranking import METRIC_NAMES, Wide, one_customer
from training.queries.evaluation_queries import OPTIONS, Asked, questions
from training.queries.states import as_of_instant, states_for

MAX_CUSTOMERS = 1000
"""Asked in a second, and enough to tell a loss of 0.01 NDCG@10 from noise (docs/releases.md)."""
CUTOFF = 10
STRANGER_COUNT = 50


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Questions of the history's last window, as of `cut_at` (None without times); `product_ids` name their truth.

    `new` asks those who bought something for the first time, without what they own: where most purchases are repeats,
    `asked` alone would not notice that nobody finds anything any more.
    """

    asked: Asked
    new: Asked
    product_ids: Sequence[str]
    cut_at: datetime | None

    @property
    def count(self) -> int:
        """How many customers are asked about; 0 where the history holds nothing to ask."""
        return len(self.asked.queries)


NOBODY = Asked([], [], [])
NOBODY_ASKED = HeldOut(NOBODY, NOBODY, [], None)


@dataclass(frozen=True, slots=True)
class Replay:
    """What one bundle answered: NDCG@10 per customer (n,), of new products (m,), distinct products, what broke."""

    version: str
    ndcg: Wide
    new_ndcg: Wide
    shown_count: int
    broken: Sequence[str]


def held_out(settings: Settings, *, seed: int) -> HeldOut:
    """A question for at most 1,000 customers of the last window, the same for the same history and seed."""
    history = History(settings.history_dir).scan()
    products = product_table(settings)
    dataset = load_interactions(history, None if products is None else products.collect())
    if dataset.line_count == 0:
        return NOBODY_ASKED
    split = _fewer(make_splits(dataset, seed=seed, window_count=1)[0], seed=seed)
    asked = questions(split, states_for(history, products, split, sorted(split.truth)), seed=seed)
    sized = Asked([replace(query, size=CUTOFF) for query in asked.queries], asked.states, asked.truth)
    cut_at = as_of_instant(split.train) if split.kind == "time" else None
    return HeldOut(sized, _new(sized, dataset.product_ids), dataset.product_ids, cut_at)


def replay(bundle: Bundle, questions: HeldOut, progress: StageProgress) -> Replay:
    """Asks `bundle` every question, and some of strangers, so that scores are seen where no customer is known."""
    broken: list[str] = []
    with threadpool_limits(1), np.errstate(all="ignore"):
        for query in _strangers(bundle):
            _answer(bundle, query, CustomerState(), broken)
        slates = _answers(bundle, questions.asked, broken, progress)
        new = _answers(bundle, questions.new, broken, lambda *_: None)
    code_of = {product_id: code for code, product_id in enumerate(questions.product_ids)}
    return Replay(
        bundle.version,
        _ndcg(slates, questions.asked, code_of),
        _ndcg(new, questions.new, code_of),
        len(set(chain.from_iterable(slates))),
        broken,
    )


def _new(asked: Asked, product_ids: Sequence[str]) -> Asked:
    """The questions whose truth holds products that the customer never bought, about those alone."""
    keys = np.array([product_key(product_id) for product_id in product_ids])
    queries, states, truths = [], [], []
    for query, state, truth in zip(asked.queries, asked.states, asked.truth, strict=True):
        owned = np.zeros(0) if state.features is None else state.features.bought_keys
        new = truth[~np.isin(keys[truth], owned)]
        if len(new):
            queries.append(replace(query, exclude_purchased=True))
            states.append(state)
            truths.append(new)
    return Asked(queries, states, truths)


def _answers(bundle: Bundle, asked: Asked, broken: list[str], progress: StageProgress) -> list[list[str]]:
    slates = []
    for number, (query, state) in enumerate(zip(asked.queries, asked.states, strict=True), start=1):
        slates.append(_answer(bundle, query, state, broken))
        progress(number, len(asked.queries))
    return slates


def _fewer(split: Split, *, seed: int) -> Split:
    """The split with the truth of at most MAX_CUSTOMERS customers, at random."""
    codes = np.array(sorted(split.truth), np.int64)
    if len(codes) <= MAX_CUSTOMERS:
        return split
    chosen = np.random.default_rng(seed).choice(codes, MAX_CUSTOMERS, replace=False)
    return replace(split, truth={int(code): split.truth[int(code)] for code in chosen})


def _strangers(bundle: Bundle) -> list[Query]:
    """Questions of people of whom one looked-at product is known, or nothing."""
    ids = bundle.catalogue.product_ids
    template = Query(placement="evaluation", size=CUTOFF, now_at=datetime.now(UTC), anonymous_id="stranger")
    places = np.linspace(0, len(ids) - 1, min(STRANGER_COUNT, len(ids))).astype(int)
    return [template, *(replace(template, recent=(ProductId(ids[place]),)) for place in places)]


def _answer(bundle: Bundle, query: Query, state: CustomerState, broken: list[str]) -> list[str]:
    """The products shown, best first; what went wrong is added to `broken`."""
    try:
        slate = rank(query, bundle, state, OPTIONS)
    except Exception as error:  # noqa: BLE001 - whatever a candidate does wrong, it is a finding
        broken.append(repr(error))
        return []
    broken += _faults(slate)
    return [proposition.product_id for proposition in slate.propositions]


def _faults(slate: Slate) -> list[str]:
    faults = [f"source {name} failed" for name in slate.trace.failed_sources]
    numbers = [number for one in slate.propositions for number in (one.score, one.probability)]
    if slate.trace.nan_count or not np.isfinite(numbers).all():
        faults.append("a score is not finite")
    return faults


def _ndcg(slates: Sequence[Sequence[str]], asked: Asked, code_of: Mapping[str, int]) -> Wide:
    """NDCG@10 of each slate; a product that the history does not know cannot be right."""
    place = METRIC_NAMES.index("ndcg")
    coded = [np.array([code_of.get(product_id, -1) for product_id in slate], np.int32) for slate in slates]
    rows = [one_customer(codes, truth, k=CUTOFF)[place] for codes, truth in zip(coded, asked.truth, strict=True)]
    return np.array(rows, np.float64)
