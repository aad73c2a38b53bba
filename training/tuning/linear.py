"""Which item-item weights predict best what is new to customers: a kind, a weighting, then its other values."""

from collections.abc import Sequence
from dataclasses import replace

from scipy import sparse

from training.learners.linear import (
    LinearSettings,
    full_weights,
    gram_of,
    kept,
    neighbour_weights,
    strengths,
    strongest,
    weights_of,
)
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
    ndcg = {settings: _ndcg(problem, [settings])[0] for settings in kinds}
    best = max(ndcg, key=lambda settings: ndcg[settings])
    # Without times decayed weights equal counts.
    weightings = [name for name in DATED if name != weighting] if problem.has_time else []
    ndcg |= {one: _ndcg(problem, [one])[0] for one in [replace(best, weighting=name) for name in weightings]}
    best = max(ndcg, key=lambda settings: ndcg[settings])
    others = penalties[1:] if best.kind == "ease" else evennesses[1:]
    further = [replace(best, value=value) for value in others]
    ndcg |= zip(further, _ndcg(problem, further), strict=True)
    return max(ndcg, key=lambda settings: ndcg[settings])


def _ndcg(problem: TuningProblem, trials: Sequence[LinearSettings]) -> list[float]:
    """NDCG@20 of each of these settings, which differ in their values alone."""
    if not trials:
        return []
    matrix = strengths(problem.pairs, (problem.shape[0], problem.bought_count), trials[0])
    if trials[0].kind == "ease":
        gram = gram_of(matrix)
        learned = (kept(full_weights(gram, penalty=settings.value)) for settings in trials)
    else:
        learned = (strongest(neighbour_weights(matrix, evenness=settings.value)) for settings in trials)
    return [_ndcg_of(problem, matrix, weights_of(linear)) for linear in learned]


def _ndcg_of(problem: TuningProblem, matrix: sparse.csr_array, weights: sparse.csr_array) -> float:
    return ndcg_of_new(problem, lambda customers: (matrix[customers] @ weights).toarray())
