"""Probabilities that were shown against what was then bought: how well they are calibrated."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain import Mask
from training.metrics.ranking import Wide, ratio_intervals

BIN_COUNT = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """Propositions of about equal probability: how many, their mean, and the share bought with its 95 % interval."""

    count: int
    probability: float
    bought: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well probabilities are calibrated; `bins` hold equal counts, rising."""

    count: int
    ece: float
    ece_equal_count: float
    brier: float
    mean_probability: float
    bought: float
    bins: list[Bin]


def reliability(probability: Wide, bought: Mask, owner: npt.NDArray[np.intp], *, seed: int) -> Reliability:
    """All of it for propositions (n,): their probability, whether they were bought, and whose they were.

    ece = Σ |bin| / n · |mean probability − share bought| over 15 bins of equal width (Guo et al. 2017), and
    `ece_equal_count` over 15 bins of equal counts, which looks closer where most probabilities are small.
    brier = mean (probability − bought)² (Brier 1950). No propositions give zeros.
    """
    if not len(probability):
        return Reliability(0, 0.0, ece_equal_count=0.0, brier=0.0, mean_probability=0.0, bought=0.0, bins=[])
    chance = np.asarray(probability, np.float64)
    # A probability of exactly 1 belongs into the last bin.
    by_width = np.minimum((chance * BIN_COUNT).astype(np.intp), BIN_COUNT - 1)
    # Where many probabilities are equal, quantiles fall together and there are fewer bins.
    edges = np.unique(np.quantile(chance, np.linspace(0, 1, BIN_COUNT + 1)[1:-1]))
    by_count = np.searchsorted(edges, chance, side="left")
    return Reliability(
        count=len(chance),
        ece=_calibration_error(chance, bought, by_width),
        ece_equal_count=_calibration_error(chance, bought, by_count),
        brier=float(np.mean((chance - bought) ** 2)),
        mean_probability=float(chance.mean()),
        bought=float(bought.mean()),
        bins=_bins(chance, bought, by_count, owner, seed=seed),
    )


def _calibration_error(chance: Wide, bought: Mask, position: npt.NDArray[np.intp]) -> float:
    gap = np.bincount(position, chance) - np.bincount(position, bought)
    return float(np.abs(gap).sum() / len(chance))


def _bins(
    chance: Wide, bought: Mask, position: npt.NDArray[np.intp], owner: npt.NDArray[np.intp], *, seed: int
) -> list[Bin]:
    """One entry per bin that holds anything; intervals by drawing whole customers."""
    filled, position = np.unique(position, return_inverse=True)
    _, owner = np.unique(owner, return_inverse=True)
    shape = (int(owner.max()) + 1, len(filled))
    key = owner * shape[1] + position
    size = np.bincount(key, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    hits = np.bincount(key, bought, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    share, low, high = ratio_intervals(hits, size, seed=seed)
    count = size.sum(axis=0)
    mean = np.bincount(position, chance) / count
    return [
        Bin(int(count[row]), float(mean[row]), float(share[row]), float(low[row]), float(high[row]))
        for row in range(len(filled))
    ]
