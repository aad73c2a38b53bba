"""Two finished bundles answer the same queries, kind by kind: both sides' figures, and the differences in pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.decision.customer.kinds import BASKET_BEGUN, QUESTION_KINDS, kind_of
from app.domain import Ints
from app.model.bundle import Bundle
from app.ports import StageProgress
from training.evaluation.lists import Slates, rank_candidates, served_slates
from training.evaluation.ranked import FIGURES, RankedQueries, calibration_of_shown, source_shares, values_of
from training.evaluation.results import PRODUCT, MetricEstimate, Sources, estimates
from training.metrics.calibration import Reliability
from training.queries.evaluation_queries import CUTOFFS, EvaluationQueries, with_baskets


@dataclass(frozen=True, slots=True)
class Side:
    """One bundle's figures on a set of queries, the calibration of its first ten propositions, and its sources."""

    figures: Mapping[str, MetricEstimate]
    calibration: Reliability
    sources: Sources


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides on the same queries; `difference` = second less first, query by query."""

    queries: int
    first: Side
    second: Side
    difference: Mapping[str, MetricEstimate]


def queries_by_kind(
    queries: EvaluationQueries, product_ids: Sequence[str], *, seed: int
) -> dict[str, EvaluationQueries]:
    """The kinds of question among the queries, by their names, and of every second one that with its basket begun."""
    kinds = [kind_of(query) for query in queries.queries]
    found = {kind: queries.only([row for row, one in enumerate(kinds) if one == kind]) for kind in QUESTION_KINDS}
    begun = with_baskets(queries, product_ids, seed=seed)
    found[BASKET_BEGUN] = begun.only([row for row, query in enumerate(begun.queries) if query.basket])
    return {kind: theirs for kind, theirs in found.items() if len(theirs)}


def paired(
    bundles: tuple[Bundle, Bundle],
    queries: EvaluationQueries,
    product_ids: Sequence[str],
    progress: StageProgress,
    *,
    seed: int,
) -> Pair:
    """Both bundles on these queries, whose truth is numbered as `product_ids` are; the bundles may number otherwise."""
    sized = replace(queries, queries=[replace(query, size=max(CUTOFFS)) for query in queries.queries])
    ranked = [_ranked(bundle, sized, product_ids) for bundle in bundles]
    progress(len(queries), len(queries))
    values = [values_of(one.slates.items, queries.truth) for one in ranked]
    first, second = (
        Side(
            dict(zip(FIGURES, estimates(figures, seed=seed), strict=True)),
            calibration_of_shown(one, seed=seed),
            source_shares(one, seed=seed),
        )
        for one, figures in zip(ranked, values, strict=True)
    )
    difference = dict(zip(FIGURES, estimates(values[1] - values[0], seed=seed), strict=True))
    return Pair(len(queries), first, second, difference)


def _ranked(bundle: Bundle, queries: EvaluationQueries, product_ids: Sequence[str]) -> RankedQueries:
    """The bundle's slates and sources in the numbers of `product_ids`; what these lack can never be right."""
    code_of = {product_id: code for code, product_id in enumerate(product_ids)}
    # An empty place (-1) reads the last entry.
    codes = np.array([*(code_of.get(name, -1) for name in bundle.catalogue.product_ids), -1], np.int32)
    slates = served_slates(bundle, queries, lambda *_: None)
    candidates = []
    for query, state, _ in queries:
        one = rank_candidates(bundle, query, state)
        by_source = {name: _known(codes[items]) for name, items in one.by_source.items()}
        candidates.append(replace(one, by_source=by_source, items=codes[one.items]))
    shown = Slates(codes[slates.items], slates.probability)
    return RankedQueries(queries, candidates, shown, {PRODUCT: shown.items})


def _known(codes: Ints) -> Ints:
    return codes[codes >= 0]
