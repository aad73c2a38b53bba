"""The stock that SIMULATED stores begin with, and the rule by which it is ordered again."""

from dataclasses import dataclass

import numpy as np

from app.domain import Ints
from app.places.simulation.turnover import Turnover, rank_of

LEAD_DAYS = 1.0
"""A truck brings what was ordered so long before, or earlier."""
CYCLE_DAYS = (1, 2, 3)
"""Days between two trucks: to the third of the stores that sells most, to the second third, to the rest."""
LEAST_REORDER, LEAST_FULL = 3, 12
FULL_DAYS = 6.0
"""What is brought lasts so long."""
SOLD_OUT_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Stock:
    """SIMULATED stock of c cells in pieces (c,): what is there, when it is ordered, and how much is there after that.

    `cycle_days` (s,) lie between two trucks to a store.
    """

    level: Ints
    reorder_at: Ints
    full: Ints
    cycle_days: Ints


def stock_of(turnover: Turnover, rng: np.random.Generator) -> Stock:
    """The stock of one moment in a reorder cycle that has run for long."""
    cycle_days = _cycle_days(turnover)
    lead_days = LEAD_DAYS + cycle_days[turnover.store] / 2
    in_lead = turnover.daily * lead_days
    reorder_at = np.maximum(LEAST_REORDER, np.ceil(in_lead + np.sqrt(in_lead)))
    full = np.maximum(LEAST_FULL, reorder_at + np.ceil(turnover.daily * FULL_DAYS))
    level = np.floor(reorder_at + 1 + rng.random(len(full)) * (full - reorder_at))
    is_ordered = rng.random(len(full)) < in_lead / (full - reorder_at + in_lead)
    low = np.ceil(reorder_at - rng.random(len(full)) * np.minimum(in_lead, reorder_at - 1))
    level = np.where(is_ordered, low, level)
    level[rng.random(len(full)) < SOLD_OUT_SHARE] = 0
    return Stock(level.astype(np.int32), reorder_at.astype(np.int32), full.astype(np.int32), cycle_days)


def _cycle_days(turnover: Turnover) -> Ints:
    rank = rank_of(turnover.store_daily)
    return np.array(CYCLE_DAYS, np.int32)[rank * len(CYCLE_DAYS) // len(rank)]
