"""SIMULATED prices of single stores, some percent off what the chain takes."""

import numpy as np

from app.places.simulation.turnover import ONLINE, Money, Turnover

PRICED_SHARE = 0.05
OFF_PERCENT = (3.0, 15.0)


def prices_of(turnover: Turnover, rng: np.random.Generator) -> Money:
    """The store's own price of each cell in minor units (c,); -1 = the chain's, as always for the warehouse."""
    chain = turnover.price_minor[turnover.product]
    off = rng.uniform(*OFF_PERCENT, len(chain)) * np.where(rng.random(len(chain)) < 0.5, 1, -1)
    own = np.maximum(1, np.round(chain * (1 + off / 100))).astype(np.int64)
    is_own = (rng.random(len(chain)) < PRICED_SHARE) & (chain > 0) & (own != chain)
    is_own &= turnover.store != turnover.store_ids.index(ONLINE)
    return np.where(is_own, own, -1)
