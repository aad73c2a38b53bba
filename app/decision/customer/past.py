"""The last purchases of a customer as steps: what usually follows them is what may come next; pure."""

from dataclasses import dataclass

import numpy as np

from app.domain import Floats, Ints

PAST_ITEMS = 20
"""The latest products that are looked at; bounds the time."""
PAST_DECAY = 0.7
"""What a step further back says, compared with the one after it; of .5 to 1 best on a year of single purchases."""


@dataclass(frozen=True, slots=True)
class Followers:
    """`items` int32 (p, 64) that followed each of the last p purchases, -1 where there are fewer.

    `chance` float32 (p, 64) in [0, 1]: how likely each is next, decayed by the steps since the purchase. The first
    `latest` purchases are those of the last step.
    """

    items: Ints
    chance: Floats
    latest: int


def followers_of_past(next_idx: Ints, next_score: Floats, items: Ints, last_day: Floats) -> Followers | None:
    """What followed the last purchases elsewhere; None when no purchase has a time, or nothing ever followed any.

    `next_idx`, `next_score` (products, 64): what follows each product, padded with -1 and 0. `items` (n,)
    distinct, `last_day` (n,) days since 1970 when each was bought last, 0 = unknown. Purchases of one day (UTC) are one
    step: the order of what is bought together says nothing.
    """
    order = np.argsort(-last_day, kind="stable")[:PAST_ITEMS]
    day = np.floor(last_day.take(order))
    dated = int(np.count_nonzero(day > 0))
    if not dated:
        return None
    order, day = order[:dated], day[:dated]
    step = np.cumsum(np.diff(day, prepend=day[:1]) != 0)
    past = items.take(order)
    chance = next_score.take(past, axis=0)
    if not chance.any():
        return None
    chance *= np.float32(PAST_DECAY) ** step.astype(np.float32)[:, None]
    return Followers(next_idx.take(past, axis=0), chance, int(np.count_nonzero(step == 0)))
