"""Each kind of question that the shop has, measured by itself: what it finds, and how true its probabilities are."""

from collections.abc import Sequence

import numpy as np

from app.decision.customer.kinds import BASKET_BEGUN, QUESTION_KINDS, kind_of
from app.domain import Ints
from app.model.bundle import Catalogue
from training.evaluation.ranked import CUTOFF, FIGURES, RankedQueries, calibration_of_shown, measured_on, values_of
from training.evaluation.results import Lift, Question, Viewed, estimates
from training.metrics.ranking import side_by_side, truth_sizes

LIFTED = tuple(name for name in FIGURES if int(name.partition("@")[2]) <= CUTOFF)
"""Slates of twenty less the products of a basket are long enough for these."""


def questions_of(
    without_basket: RankedQueries, with_basket: RankedQueries, catalogue: Catalogue, *, seed: int
) -> dict[str, Question]:
    """Every kind that there is a query of, in the order of QUESTION_KINDS."""
    kinds = np.array([kind_of(query) for query in without_basket.queries.queries])
    ranked = {kind: without_basket.only(np.flatnonzero(kinds == kind).tolist()) for kind in QUESTION_KINDS}
    ranked[BASKET_BEGUN] = with_basket
    return {
        kind: Question(
            rankings=measured_on(one.lists, one.queries.truth, seed=seed),
            calibration=calibration_of_shown(one, seed=seed),
            lift=_lift(with_basket, without_basket, catalogue, seed=seed) if kind == BASKET_BEGUN else None,
            viewed=_viewed(one, catalogue, seed=seed),
        )
        for kind, one in ranked.items()
        if len(one.queries)
    }


def _lift(with_basket: RankedQueries, without_basket: RankedQueries, catalogue: Catalogue, *, seed: int) -> Lift:
    """Both slates for the same customers, on what is not in the basket yet and without what is."""
    row_of = {code: row for row, code in enumerate(without_basket.queries.codes)}
    plain = without_basket.slates.items[[row_of[code] for code in with_basket.queries.codes]]
    baskets = [catalogue.known([line.product_id for line in query.basket]) for query in with_basket.queries.queries]
    shown = [items[~np.isin(items, basket)] for items, basket in zip(plain, baskets, strict=True)]
    columns = [FIGURES.index(name) for name in LIFTED]
    truth = with_basket.queries.truth
    informed = values_of(with_basket.slates.items, truth)[:, columns]
    uninformed = values_of(side_by_side(shown, k=with_basket.slates.items.shape[1]), truth)[:, columns]
    return Lift(
        uninformed=dict(zip(LIFTED, estimates(uninformed, seed=seed), strict=True)),
        added=dict(zip(LIFTED, estimates(informed - uninformed, seed=seed), strict=True)),
    )


def _viewed(ranked: RankedQueries, catalogue: Catalogue, *, seed: int) -> Viewed | None:
    """What was viewed in the visit already apart from what is new to it; None where nothing was viewed."""
    truth = ranked.queries.truth
    views = [catalogue.known(query.recent) for query in ranked.queries.queries]
    if not any(map(len, views)):
        return None
    already = [items[np.isin(items, viewed)] for items, viewed in zip(truth, views, strict=True)]
    new = [items[~np.isin(items, viewed)] for items, viewed in zip(truth, views, strict=True)]
    return Viewed(
        share=_count(already) / _count(truth),
        already=measured_on(ranked.lists, already, seed=seed),
        new=measured_on(ranked.lists, new, seed=seed),
    )


def _count(truth: Sequence[Ints]) -> int:
    return int(truth_sizes(truth).sum())
