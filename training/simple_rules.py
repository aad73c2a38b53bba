"""What was learned next to simple rules on the held-out queries; where these are too few, a rule ranks instead."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from app.decision.customer.context import make_context
from app.decision.eligibility.products import all_allowed, eligibility_rules
from app.decision.ranking.features import COLUMNS
from app.domain import Floats, Ints, Query
from app.model.bundle import Bundle
from app.ports import CustomerState, Progress, StageProgress
from training.data.dataset import Dataset, Pairs, purchase_pairs
from training.data.split import Split
from training.evaluation.lists import factor_lists, frequency_lists, popularity_lists, served_slates, without_owned
from training.evaluation.results import PRODUCT
from training.learners.bundle_contents import Hyperparameters
from training.learners.plain_als import PlainAls, fit_plain_als
from training.metrics.ranking import METRIC_NAMES, found_positions, per_customer, side_by_side, truth_sizes
from training.metrics.rule_comparison import (
    CUTOFF,
    FREQUENCY,
    NEEDED_HITS,
    PLAIN_ALS,
    POPULARITY,
    AgainstRules,
    RuleComparison,
    against_rules,
)
from training.queries.evaluation_queries import OPTIONS, EvaluationQueries
from training.queries.shared_out import HERE, SharedOut
from training.ranking.blend import Blend, Calibration, calibration_of
from training.ranking.fit import candidate_window

MAX_QUERIES = 1000
"""Enough to tell a loss of 0.01 NDCG@10 from noise; all are taken where fewer than NEEDED_HITS of these have a hit."""
FILL_WEIGHT = 1e-4
"""Of `popular`, so that it orders what the customer does not own: a purchase of three years ago still weighs more."""
NOTHING = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bundle that saw nothing since the cut, the queries about what came then, and the `dataset` with all of it.

    `shared` answers the queries.
    """

    bundle: Bundle
    dataset: Dataset
    split: Split
    queries: EvaluationQueries
    seed: int
    shared: SharedOut = HERE


@dataclass(frozen=True, slots=True)
class _Rules:
    """What the rules know of each customer: pairs by customer, and factors learned from them."""

    candidate: Candidate
    pairs: Pairs
    als: PlainAls

    def owned(self, code: int, viewed: Ints) -> Ints:
        """A customer's items by decayed weight (ties: the better seller); `viewed` first where nothing is bought."""
        theirs = self._of(code)
        items = self.pairs.item[theirs]
        items = items[np.argsort(-self.pairs.weight_112d[theirs], kind="stable")]
        if self.candidate.split.train.has_purchases:
            return items
        return np.array(list(dict.fromkeys([*viewed.tolist(), *items.tolist()])), np.int32)

    def liked(self, code: int, viewed: Ints) -> tuple[Ints, Floats]:
        """A customer's items and those `viewed` in the visit so far, and how often each."""
        theirs = self._of(code)
        items, position = np.unique(np.concatenate([viewed, self.pairs.item[theirs]]), return_inverse=True)
        often = np.concatenate([np.ones(len(viewed), np.float32), self.pairs.count[theirs]])
        return items, np.bincount(position, often, len(items)).astype(np.float32)

    def _of(self, code: int) -> slice:
        return slice(*np.searchsorted(self.pairs.customer, [code, code + 1]).tolist())


def learned_or_simple(
    candidate: Candidate, learned: Hyperparameters, progress: Progress
) -> tuple[Hyperparameters, Bundle, RuleComparison]:
    """What to train with, the candidate's bundle as it ranks then, and the comparison that decided.

    That is what was `learned`, or the best simple rule where too few queries show whether it is better.
    """
    found = compare_with_rules(candidate, progress)
    rule = found.rule_to_serve()
    if rule is None:
        return learned, candidate.bundle, found
    simple = ranking_by(rule, learned, candidate)
    return simple, ranked_by(simple, candidate.bundle), replace(found, served=rule)


def compare_with_rules(candidate: Candidate, progress: Progress) -> RuleComparison:
    """NDCG@10 of the served slates, of popularity, personal frequency and plain ALS, on the same queries.

    What a rule may show is what the query's eligibility lets the product show. Cost: 1,000 queries and one ALS.
    """
    train = candidate.split.train
    pairs = purchase_pairs(train)
    shape = (len(train.customer_ids), len(train.product_ids))
    rules = _Rules(candidate, pairs, fit_plain_als(pairs, shape, seed=candidate.seed))
    order = np.random.default_rng(candidate.seed).permutation(len(candidate.queries))
    every, new = _compared(rules, np.sort(order[:MAX_QUERIES]).tolist(), progress)
    if every.hits < NEEDED_HITS and len(order) > MAX_QUERIES:
        every, new = _compared(rules, range(len(order)), progress)
    dataset = candidate.dataset
    days = int(np.ptp(dataset.day)) + 1 if dataset.has_time else None
    baskets = len(np.unique(dataset.basket))
    return RuleComparison(dataset.has_purchases, len(dataset.customer_ids), baskets, days, every, new)


def ranking_by(rule: str, learned: Hyperparameters, candidate: Candidate) -> Hyperparameters:
    """The hyperparameters with the blend of a rule instead of what was learned to rank, calibrated on the queries."""
    # Where nothing is ever bought, what a visitor has is what they viewed, the latest first.
    own = "frequent_112d" if candidate.split.train.has_purchases else "seen"
    chosen = {"popular": 1.0} if rule == POPULARITY else {own: 1.0, "popular": FILL_WEIGHT}
    weights = {name: chosen.get(name, 0.0) for name in COLUMNS}
    ruled = replace(learned, linear=None, blend=Blend(weights, Calibration(1.0, 0.0), ndcg=0.0), trees=None)
    window = candidate_window(ranked_by(ruled, candidate.bundle), candidate.queries)
    vector = np.array(list(weights.values()), np.float32)
    calibration = calibration_of([columns @ vector for columns in window.columns], window.labels)
    return replace(ruled, blend=replace(ruled.blend, calibration=calibration))


def ranked_by(hyperparameters: Hyperparameters, bundle: Bundle) -> Bundle:
    """The bundle as it would be with the blend of these hyperparameters, and no trees and no linear part."""
    scoring = {**bundle.scoring, **hyperparameters.scoring()}
    return replace(
        bundle,
        # Another version, because what lies in a folder under the bundle's own is what it was.
        version=f"{bundle.version}-by-rule",
        scoring=scoring,
        ranker=None,
        linear_idx=bundle.linear_idx[:0],
        linear_weight=bundle.linear_weight[:0],
    )


def _compared(rules: _Rules, rows: Sequence[int], progress: Progress) -> tuple[AgainstRules, AgainstRules | None]:
    """On all products, and on those new to the customer; None where nobody queried owns anything."""
    queries = rules.candidate.queries.only(rows)
    owned, hidden = _owned_and_hidden(rules.candidate, queries)
    every = _measured(rules, queries, hidden, partial(progress, "compare with simple rules"))
    if not any(len(items) for items in owned):
        return every, None
    truth = [wanted[~np.isin(wanted, items)] for wanted, items in zip(queries.truth, owned, strict=True)]
    bought_new = [row for row, wanted in enumerate(truth) if len(wanted)]
    new = without_owned(replace(queries, truth=truth).only(bought_new))
    _, hidden = _owned_and_hidden(rules.candidate, new)
    return every, _measured(rules, new, hidden, partial(progress, "compare with simple rules, new products"))


def _owned_and_hidden(candidate: Candidate, queries: EvaluationQueries) -> tuple[list[Ints], list[Ints]]:
    """Per query what the customer bought, and what may not be shown: both as the product itself sees it."""
    pairs = candidate.shared.each(_one_owned_and_hidden, candidate.bundle, queries, lambda *_: None)
    return [owned for owned, _ in pairs], [hidden for _, hidden in pairs]


def _one_owned_and_hidden(bundle: Bundle, query: Query, state: CustomerState) -> tuple[Ints, Ints]:
    # The context ends here: it may hold a score of every product.
    context = make_context(query, bundle, state, stale_after_s=OPTIONS.stale_after_s)
    allowed = all_allowed(eligibility_rules(context))
    return context.bought.items, NOTHING if allowed is None else np.flatnonzero(~allowed).astype(np.int32)


def _measured(
    rules: _Rules, queries: EvaluationQueries, hidden: Sequence[Ints], progress: StageProgress
) -> AgainstRules:
    truth = queries.truth
    slates = served_slates(rules.candidate.bundle, queries, progress, shared=rules.candidate.shared)
    lists = {PRODUCT: slates.items}
    lists |= _rule_lists(rules, queries, hidden)
    figures = {
        name: per_customer(found_positions(table[:, :CUTOFF], truth), truth_sizes(truth), k=CUTOFF)
        for name, table in lists.items()
    }
    hit, ndcg = METRIC_NAMES.index("hit"), METRIC_NAMES.index("ndcg")
    has_hit = np.max([table[:, hit] for table in figures.values()], axis=0) > 0
    values = {name: table[:, ndcg] for name, table in figures.items()}
    return against_rules(values.pop(PRODUCT), values, has_hit, seed=rules.candidate.seed)


def _rule_lists(rules: _Rules, queries: EvaluationQueries, hidden: Sequence[Ints]) -> dict[str, Ints]:
    """Each rule's list per query, int32 (n, 10), -1 where it is shorter: of what is eligible alone."""
    bundle = rules.candidate.bundle
    own, users = [], np.zeros((len(queries), len(rules.als.gram)), np.float32)
    for row, (code, query) in enumerate(zip(queries.codes, queries.queries, strict=True)):
        viewed = bundle.catalogue.known(list(query.recent))
        users[row] = rules.als.user(*rules.liked(code, viewed))
        own.append(rules.owned(code, viewed))
    popular = popularity_lists(bundle.popularity, hidden)
    eligible = [items[~np.isin(items, gone)] for items, gone in zip(own, hidden, strict=True)]
    by_factors = factor_lists(rules.als.item_factors, users, hidden)
    # Somebody of whom nothing is known has no vector, and every product would be equal.
    known = [ranked if user.any() else other for user, ranked, other in zip(users, by_factors, popular, strict=True)]
    lists = {FREQUENCY: frequency_lists(eligible, popular), PLAIN_ALS: known, POPULARITY: popular}
    return {name: side_by_side(rows, k=CUTOFF) for name, rows in lists.items()}
