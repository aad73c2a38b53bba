"""The score of each candidate: an explicit linear blend of its columns, and the probability that it stands for."""

from dataclasses import dataclass

import numpy as np

from app.decision.context import Context
from app.decision.features import COLUMNS, candidate_columns
from app.domain import Floats, Ints

NOT_A_SCORE = np.float32(-1e6)
"""The score of a candidate whose columns hold no number: it ranks last, and shows."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Items (n,) with their columns (n, f), the weight of each column (f,) and the score (n,)."""

    items: Ints
    columns: Floats
    weights: Floats
    score: Floats

    def contributions(self, places: Ints) -> Floats:
        """What each column adds to the score of the items at `places`."""
        return self.columns[places] * self.weights


def score(context: Context, items: Ints) -> Scored:
    """score = Σ weight · column."""
    columns = candidate_columns(context, items)
    weights = blend_weights(context)
    total = columns @ weights
    if np.isnan(total.sum()):
        is_broken = np.isnan(total)
        columns[is_broken] = 0
        total[is_broken] = NOT_A_SCORE
    return Scored(items, columns, weights, total)


def probability(context: Context, score: Floats) -> Floats:
    """P(in the next basket) = σ(slope · score + intercept), as fitted on held-out baskets."""
    calibration = context.bundle.scoring["calibration"]
    logit = np.float32(calibration["slope"]) * score + np.float32(calibration["intercept"])
    chance: Floats = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
    return chance


def blend_weights(context: Context) -> Floats:
    """The bundle's weight per column; a column that the bundle was not trained with counts nothing."""
    weights = context.bundle.scoring["weights"]
    return np.array([weights.get(name, 0.0) for name in COLUMNS], np.float32)
