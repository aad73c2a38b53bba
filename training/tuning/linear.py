"""Which item-item weights predict best what is new to customers: a kind, a weighting, then its other values."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from scipy import sparse

from app.domain import Floats, Ints
from training.learners.linear import LinearSettings, learned, strengths, weights_of
from training.tuning.problem import TuningProblem, ndcg_of_new

PENALTIES = (300.0, 100.0, 1000.0)
EVENNESSES = (0.25, 0.0, 0.5)
"""The first of each is what the two kinds are compared by."""
DATED = ("decayed", "count")


def tune_linear(
    problem: TuningProblem,
    *,
    weighting: str,
    penalties: Sequence[float] = PENALTIES,
    evennesses: Sequence[float] = EVENNESSES,
) -> LinearSettings | None:
    """What predicts products new to the customers best (NDCG@20); the first where there is nobody to predict for.

    Each kind by its first value; the best one, where purchases are dated, with old ones counting less and as much; then
    its other values. None where there is nothing to sum: fewer than two bought products.
    """
    if problem.bought_count < 2:
        return None
    first = LinearSettings("ease", penalties[0], weighting)
    if not len(problem.customers):
        return first
    kinds = [first, *(LinearSettings("neighbours", value, weighting) for value in evennesses[:1])]
    ndcg: dict[LinearSettings, float] = {}
    for settings in kinds:
        ndcg |= _ndcg(problem, settings, [settings.value])
    best = max(ndcg, key=lambda settings: ndcg[settings])
    # Without times decayed weights equal counts.
    weightings = [name for name in DATED if name != weighting] if problem.has_time else []
    for name in weightings:
        ndcg |= _ndcg(problem, replace(best, weighting=name), [best.value])
    best = max(ndcg, key=lambda settings: ndcg[settings])
    others = penalties[1:] if best.kind == "ease" else evennesses[1:]
    if others:
        ndcg |= _ndcg(problem, best, others)
    return max(ndcg, key=lambda settings: ndcg[settings])


def _ndcg(problem: TuningProblem, settings: LinearSettings, values: Sequence[float]) -> dict[LinearSettings, float]:
    """NDCG@20 of these settings with each of these values."""
    matrix = strengths(problem.pairs, (problem.shape[0], problem.bought_count), settings)
    found = {}
    for value, linear in zip(values, learned(matrix, settings.kind, values), strict=True):
        weights = weights_of(linear)
        found[replace(settings, value=value)] = ndcg_of_new(problem, partial(_scores, matrix, weights))
    return found


def _scores(matrix: sparse.csr_array, weights: sparse.csr_array, customers: Ints) -> Floats:
    scores: Floats = (matrix[customers] @ weights).toarray()
    return scores
