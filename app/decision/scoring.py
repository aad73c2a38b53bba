"""The score of each candidate: an explicit linear blend of its columns, and the probability that it stands for."""

from dataclasses import dataclass

import numpy as np

from app.decision.context import Context
from app.decision.features import COLUMNS, candidate_columns
from app.domain import Floats, Ints

NOT_A_SCORE = np.float32(-1e6)
"""What each column of a candidate adds whose score is no number: it ranks last, and shows."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Items with their columns (n, f), what each column adds to the score, score and probability."""

    items: Ints
    columns: Floats
    contributions: Floats
    score: Floats
    probability: Floats


def score(context: Context, items: Ints) -> Scored:
    """score = Σ weight · column; probability = σ(slope · score + intercept) as fitted on held-out baskets."""
    columns = candidate_columns(context, items)
    contributions = columns * blend_weights(context)
    total = contributions.sum(axis=1)
    if np.isnan(total.sum()):
        contributions[np.isnan(total)] = NOT_A_SCORE
        total = contributions.sum(axis=1)
    calibration = context.bundle.scoring["calibration"]
    logit = float(calibration["slope"]) * total + float(calibration["intercept"])
    return Scored(items, columns, contributions, total, 1 / (1 + np.exp(-np.clip(logit, -30, 30))))


def blend_weights(context: Context) -> Floats:
    """The bundle's weight per column; a column that the bundle was not trained with counts nothing."""
    weights = context.bundle.scoring["weights"]
    return np.array([weights.get(name, 0.0) for name in COLUMNS], np.float32)
