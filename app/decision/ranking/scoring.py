"""The score of each candidate: a linear blend of its columns, corrected by learned trees, and its probability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from app.decision.customer.context import Context
from app.decision.customer.kinds import kind_of
from app.decision.eligibility.products import excludes_purchased
from app.decision.ranking.features import BLEND_ROW, COLUMNS, Positions, feature_table, rows_of
from app.domain import Floats, Ints

NOT_A_SCORE = np.float32(-1e6)
"""The score of a candidate whose columns hold no number: it ranks last, and shows."""
RANKED_COUNT = 200
"""So many candidates, the best by the blend, go through the trees."""
NO_ITEMS = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class ScoredCandidates:
    """Items (n,) with their columns (n, f), the blend's weight of each column (f,) and the score (n,).

    `table` (n, t) is what the trees saw, None where the bundle has none.
    """

    items: Ints
    columns: Floats
    weights: Floats
    score: Floats
    table: Floats | None = None

    def contributions(self, positions: Ints) -> Floats:
        """What each column adds to the blend of the items at `positions`."""
        return self.columns[positions] * self.weights


def score(context: Context, items: Ints, *, always: Ints = NO_ITEMS) -> ScoredCandidates:
    """The blend Σ weight · column; where the bundle holds trees, theirs for the 200 best of it.

    Items of `always` are scored whatever the blend says. Where only new products are requested, trees that rank
    those no better stay out.
    """
    table, weights = feature_table(context, items), blend_weights(context)
    columns, blend = table[:BLEND_ROW], table[BLEND_ROW]
    # Into the table's own row, where the trees read it.
    blend[:] = weights @ columns
    # One NaN makes the sum NaN: a single pass where, as nearly always, there is none.
    if np.isnan(blend.sum()):
        is_broken = np.isnan(blend)
        columns[:, is_broken] = 0
        blend[is_broken] = NOT_A_SCORE
    ranker = context.bundle.ranker
    if ranker is None:
        return ScoredCandidates(items, columns.T, weights, blend)
    if len(items) > RANKED_COUNT:
        best = best_positions(blend)
        if len(always):
            best = np.union1d(best, np.isin(items, always).nonzero()[0])
        items, table = items.take(best), table.take(best, axis=1)
    columns, blend = table[:BLEND_ROW].T, table[BLEND_ROW]
    if excludes_purchased(context) and not ranker.ranks_new:
        return ScoredCandidates(items, columns, weights, ranker.base(blend))
    rows = table[rows_of(ranker.columns)].T
    total = ranker.scores(rows)
    total[blend == NOT_A_SCORE] = NOT_A_SCORE
    return ScoredCandidates(items, columns, weights, total, rows)


def best_positions(blend: Floats) -> Positions:
    """Places of the candidates that go through the trees, ascending."""
    if len(blend) <= RANKED_COUNT:
        return np.arange(len(blend))
    # Ascending, so that items stay ascending: later steps search in them.
    return np.sort(np.argpartition(-blend, RANKED_COUNT)[:RANKED_COUNT])


def factors(context: Context, scored: ScoredCandidates, positions: Ints) -> Sequence[Mapping[str, float]]:
    """Per position what each column added: by the trees (SHAP, and the `base` of all), else by the blend."""
    ranker = context.bundle.ranker
    if ranker is None or scored.table is None:
        added, names = scored.contributions(positions), list(COLUMNS)
    else:
        added, names = ranker.contributions(scored.table[positions]), [*ranker.columns, "base"]
    return [dict(zip(names, row, strict=True)) for row in added.tolist()]


def probability(context: Context, score: Floats) -> Floats:
    """P(in the next basket) = σ(slope · score + intercept), as fitted on held-out baskets."""
    calibration = calibration_for(context)
    logit = np.float32(calibration["slope"]) * score + np.float32(calibration["intercept"])
    chance: Floats = expit(logit)
    return chance


def calibration_for(context: Context) -> Mapping[str, float]:
    """Slope and intercept for this kind of question; those of all kinds together where the bundle has none for it."""
    scoring = context.bundle.scoring
    # A bundle of an earlier version has one calibration for all.
    found: Mapping[str, float] = scoring.get("calibration_by_kind", {}).get(kind_of(context.query))
    return found or scoring["calibration"]


def blend_weights(context: Context) -> Floats:
    """The bundle's weight per column; a column that the bundle was not trained with counts nothing."""
    weights = context.bundle.scoring["weights"]
    return np.array([weights.get(name, 0.0) for name in COLUMNS], np.float32)
