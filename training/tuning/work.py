"""What a trial of ALS costs, by its sizes and not by the clock: a busy machine must not find other settings."""

import math

from training.learners.factors import AlsSettings
from training.tuning.problem import TuningProblem

PER_PAIR = (2.2e-7, 3.2e-9)
"""Seconds of CPU that each pair takes per iteration, and more per factor."""
PER_ROW = (1.5e-6, 3.2e-10)
"""The same of each customer and product, and more per factor squared."""
PER_SCORE = (2.5e-8, 4e-11)
"""Seconds for each customer and product that is ranked, and more per factor."""


def trial_seconds(problem: TuningProblem, settings: AlsSettings, *, share: float) -> float:
    """Seconds of CPU that a trial with this share of the customers takes, whatever else the machine does.

    The figures are those of `implicit` on a server core of 2.5 GHz; docs/decisions/0019 compares them with the clock.
    """
    customers, products = problem.shape
    pairs, rows, width = share * len(problem.pairs.item), share * customers + products, settings.factors
    iteration = pairs * (PER_PAIR[0] + PER_PAIR[1] * width) + rows * (PER_ROW[0] + PER_ROW[1] * width**2)
    ranking = len(problem.customers) * products * (PER_SCORE[0] + PER_SCORE[1] * width)
    return settings.iterations * iteration + ranking


def smaller_regularization(regularization: float, *, share: float) -> float:
    """What does with a share of the customers what this does with all.

    Penalties λ of customers and μ of products shape the scores by λ · μ alone, and of a share of the customers
    products have that share of the purchases that stand against μ.
    """
    return regularization * math.sqrt(share)
