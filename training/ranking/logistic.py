"""The one logistic regression of training: it calibrates rankings, and fits replenishment and coupons."""

import numpy as np
import numpy.typing as npt

ROUNDS = 30
TOLERANCE = 1e-10
"""Of the loss, what the next step may still promise when the fit ends: Newton's error then squares once more."""
MIN_SHARE = 1e-3
BLOCK_ROWS = 8192
"""So many rows of a design stay in the processor's cache while loss, gradient and Hessian are summed."""
MAX_LOG_ODDS = 30.0
"""A probability further out is 0 or 1 to 13 digits; beyond, exp() of single precision overflows."""

Wide = npt.NDArray[np.float64]
Reals = npt.NDArray[np.floating]
"""Single or double precision."""


def fit_logistic(design: Reals, target: Reals, *, penalty: Wide, start: Wide, weight: Wide | None = None) -> Wide:
    """Weights (p,) of least loss Σ weight · (log(1 + exp(x·w)) - target · x·w) + Σ penalty · w² / 2, from `start`.

    `design` (n, p), computed in its own precision; `target` (n,) in [0, 1]; `penalty` (p,); without `weight` (n,) each
    row counts once. Newton's method, its steps halved until the loss falls; it ends by the Newton decrement (Boyd and
    Vandenberghe 2004, algorithm 9.5).
    """
    rows: Reals = np.ones(len(design), design.dtype) if weight is None else weight
    beta = start.astype(np.float64)
    loss, gradient, hessian = _loss(design, target, rows, penalty, beta)
    for _ in range(ROUNDS):
        step = np.linalg.solve(hessian, gradient)
        if gradient @ step / 2 <= TOLERANCE * loss:
            return beta - step
        share = 1.0
        tried = _loss(design, target, rows, penalty, beta - step)
        # `not <` instead of `>=`, so that a loss of NaN halves the step as well.
        while not tried[0] < loss and share > MIN_SHARE:
            share /= 2
            tried = _loss(design, target, rows, penalty, beta - share * step)
        if not tried[0] < loss:
            break
        beta, (loss, gradient, hessian) = beta - share * step, tried
    return beta


def _loss(design: Reals, target: Reals, weight: Reals, penalty: Wide, beta: Wide) -> tuple[float, Wide, Wide]:
    """The penalized loss, its gradient and its Hessian."""
    loss, gradient, hessian = float(penalty @ beta**2) / 2, penalty * beta, np.diag(penalty)
    # Weights in double precision would turn each block of a single-precision design into double.
    narrow: Reals = beta.astype(design.dtype)
    for begin in range(0, len(design), BLOCK_ROWS):
        here = slice(begin, begin + BLOCK_ROWS)
        block = design[here]
        log_odds = block @ narrow
        chance = 1 / (1 + np.exp(-np.clip(log_odds, -MAX_LOG_ODDS, MAX_LOG_ODDS)))
        # logaddexp(0, x) is log(1 + exp(x)) without an overflow.
        each = weight[here] * (np.logaddexp(0, log_odds) - target[here] * log_odds)
        # Summed in double precision: steps are compared by losses that differ in late digits.
        loss += float(each.sum(dtype=np.float64))
        gradient = gradient + block.T @ (weight[here] * (chance - target[here]))
        hessian = hessian + (block * (weight[here] * chance * (1 - chance))[:, None]).T @ block
    return loss, gradient, hessian
