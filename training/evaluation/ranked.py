"""Queries go through the pipeline and through plain rankings, and their lists become figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain import Floats, Ints
from app.model.bundle import Bundle
from app.ports import StageProgress
from training.evaluation.lists import (
    LIST_LENGTH,
    RankedCandidates,
    Slates,
    factor_lists,
    frequency_lists,
    own_products,
    popularity_lists,
    rank_candidates,
    served_slates,
)
from training.evaluation.results import PRODUCT, RankingMetrics, Sources, SourceShare, estimate, ranking_metrics
from training.metrics.calibration import Reliability, reliability
from training.metrics.ranking import METRIC_NAMES, Wide, found_positions, per_customer, side_by_side, truth_sizes
from training.metrics.rule_comparison import FREQUENCY, PLAIN_ALS, POPULARITY
from training.metrics.source_recall import contributions
from training.queries.evaluation_queries import CUTOFFS, EvaluationQueries
from training.queries.shared_out import HERE, SharedOut

FIGURES = tuple(f"{name}@{cutoff}" for cutoff in CUTOFFS for name in METRIC_NAMES)
CUTOFF = 10


@dataclass(frozen=True, slots=True)
class RankedQueries:
    """One kind of query: the candidates of each, the slates shown, and all rankings (n, 20) by name."""

    queries: EvaluationQueries
    candidates: Sequence[RankedCandidates]
    slates: Slates
    lists: dict[str, Ints]

    def only(self, rows: Sequence[int]) -> "RankedQueries":
        """Those at these positions."""
        slates = Slates(self.slates.items[rows], self.slates.probability[rows])
        candidates = [self.candidates[row] for row in rows]
        return RankedQueries(
            self.queries.only(rows), candidates, slates, {name: table[rows] for name, table in self.lists.items()}
        )


def ranked_queries(
    bundle: Bundle,
    queries: EvaluationQueries,
    hidden: Sequence[Ints],
    progress: StageProgress,
    *,
    shared: SharedOut = HERE,
) -> RankedQueries:
    """`hidden`: what the plain rankings leave out for each customer, as the query itself makes `rank` do."""
    candidates = shared.each(rank_candidates, bundle, queries, lambda *_: None)
    slates = served_slates(bundle, queries, progress, shared=shared)
    popular = popularity_lists(bundle.popularity, hidden)
    own = [_without(own_products(one.bought), items) for one, items in zip(candidates, hidden, strict=True)]
    lists = {
        FREQUENCY: frequency_lists(own, popular),
        PLAIN_ALS: factor_lists(bundle.item_factors, user_vectors(bundle, candidates), hidden),
        POPULARITY: popular,
    }
    tables = {name: side_by_side(rows, k=LIST_LENGTH) for name, rows in lists.items()}
    return RankedQueries(queries, candidates, slates, {PRODUCT: slates.items} | tables)


def measured_on(lists: Mapping[str, Ints], truth: Sequence[Ints], *, seed: int) -> dict[str, RankingMetrics]:
    """The rankings measured on the customers who have such a truth."""
    rows = [row for row, items in enumerate(truth) if len(items)]
    kept = [truth[row] for row in rows]
    return {name: ranking_metrics(values_of(table[rows], kept), FIGURES, seed=seed) for name, table in lists.items()}


def values_of(lists: Ints, truth: Sequence[Ints]) -> Wide:
    """Figures of each customer, a column per name in FIGURES."""
    found, sizes = found_positions(lists, truth), truth_sizes(truth)
    return np.hstack([per_customer(found, sizes, k=cutoff) for cutoff in CUTOFFS])


def calibration_of_shown(ranked: RankedQueries, *, seed: int) -> Reliability:
    """How true the probabilities of the first ten propositions were."""
    items, chance = ranked.slates.items[:, :CUTOFF], ranked.slates.probability[:, :CUTOFF]
    owner, _ = np.nonzero(items >= 0)
    bought = found_positions(items, ranked.queries.truth)
    return reliability(chance[items >= 0], bought[items >= 0], owner, seed=seed)


def source_shares(ranked: RankedQueries, *, seed: int) -> Sources:
    """What each candidate source found of the truth, and all of them together."""
    found = contributions([one.by_source for one in ranked.candidates], ranked.queries.truth)
    each = {
        name: SourceShare(*(estimate(of, seed=seed) for of in (one.candidates, one.recall, one.found, one.only)))
        for name, one in found.each.items()
    }
    return Sources(len(ranked.candidates), each, estimate(found.found_by_any, seed=seed))


def user_vectors(bundle: Bundle, candidates: Sequence[RankedCandidates]) -> Floats:
    """Each customer's vector (n, k), zeros where there is none."""
    # The vectors that serving folds in, so that plain ALS differs from the product by its ranking alone.
    users = np.zeros((len(candidates), bundle.item_factors.shape[1]), np.float32)
    for row, one in enumerate(candidates):
        if one.user is not None:
            users[row] = one.user
    return users


def _without(items: Ints, hidden: Ints) -> Ints:
    return items[~np.isin(items, hidden)] if len(hidden) else items
