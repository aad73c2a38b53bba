"""The candidate sources: each a function from context to items, none longer than its bound.

Those that cut at a bound look at `allowed` first, so that what is barred takes no place. What the others propose and is
not allowed is left to the eligibility rules, which count it by reason.
"""

import numpy as np

from app.decision.customer.context import Context
from app.decision.customer.trending import trending_group
from app.domain import Ints, Mask
from app.model.retrieval import nearest

SIMILAR_COUNT = 60
SIMILAR_PER_PLACE = 3
LINEAR_COUNT = 100
BUY_AGAIN_COUNT = 100
FOLLOWING_COUNT = 100
TRENDING_COUNT = 50
PROMOTION_COUNT = 30


def similar(context: Context, allowed: Mask | None) -> Ints:
    """Nearest to the customer's exact fold-in vector, the filter inside the search."""
    if context.user is None:
        return np.zeros(0, np.int32)
    count = max(SIMILAR_COUNT, SIMILAR_PER_PLACE * context.query.size)
    within = None if context.query.allows_age_restricted else context.bundle.unrestricted_index
    return nearest(context.bundle, context.user, count=count, allowed=allowed, within=within)


def buy_again(context: Context, allowed: Mask | None) -> Ints:
    """What the customer bought most, the last weeks counting most."""
    bought = context.bought
    items, weight = bought.items, bought.weight_112d
    if allowed is not None:
        passes = allowed.take(items)
        items, weight = items[passes], weight[passes]
    if len(items) <= BUY_AGAIN_COUNT:
        return items
    return items[np.argpartition(-weight, BUY_AGAIN_COUNT)[:BUY_AGAIN_COUNT]]


def together(context: Context, allowed: Mask | None) -> Ints:
    """What is bought together with the basket and the recent items."""
    neighbours = context.bundle.neighbours_idx[context.anchors].ravel()
    return neighbours[neighbours >= 0]


def linear(context: Context, allowed: Mask | None) -> Ints:
    """What the sum of the customer's products predicts most strongly."""
    if context.linear is None:
        return np.zeros(0, np.int32)
    likely = (context.linear > 0).nonzero()[0]
    if allowed is not None:
        likely = likely[allowed.take(likely)]
    if len(likely) > LINEAR_COUNT:
        likely = likely[np.argpartition(-context.linear.take(likely), LINEAR_COUNT)[:LINEAR_COUNT]]
    return likely.astype(np.int32)


def next_items(context: Context, allowed: Mask | None) -> Ints:
    """What followed the basket and the recent items in other sessions or histories."""
    followers = context.bundle.next_idx[context.anchors].ravel()
    return followers[followers >= 0]


def following(context: Context, allowed: Mask | None) -> Ints:
    """What usually comes after the customer's last purchases, the likeliest of them."""
    if context.followers is None:
        return np.zeros(0, np.int32)
    items, chance = context.followers.items.ravel(), context.followers.chance.ravel()
    if allowed is not None:
        # Without a chance they come after all others; an item of -1 has none anyhow.
        chance = chance * allowed.take(items)
    likeliest = (
        np.argpartition(-chance, FOLLOWING_COUNT)[:FOLLOWING_COUNT] if len(items) > FOLLOWING_COUNT else slice(None)
    )
    found = items[likeliest]
    return _passing(found[found >= 0], allowed)


def recent(context: Context, allowed: Mask | None) -> Ints:
    """What the customer looked at last: it stays eligible, unless it is in the basket."""
    return context.anchors


def trending(context: Context, allowed: Mask | None) -> Ints:
    """What sells now in the customer's store, segment or everywhere."""
    items, _ = trending_group(context)
    if allowed is None:
        return items[:TRENDING_COUNT]
    # As far down the list as it takes; the rules drop, and count, what is barred on the way.
    return items[: allowed.take(items).cumsum().searchsorted(TRENDING_COUNT) + 1]


def promotion(context: Context, allowed: Mask | None) -> Ints:
    """Of what sells best on promotion in the customer's store now, that which fits their taste best."""
    if context.promotions is None:
        return np.zeros(0, np.int32)
    items = _passing(context.promotions.here.leading, allowed)
    if len(items) <= PROMOTION_COUNT or context.user is None:
        return items[:PROMOTION_COUNT]
    fit = context.bundle.item_factors.take(items, axis=0) @ context.user
    return items[np.argpartition(-fit, PROMOTION_COUNT)[:PROMOTION_COUNT]]


def popular(context: Context, allowed: Mask | None) -> Ints:
    """The most bought products that pass: the floor that keeps a strict filter from an empty slate."""
    count = context.query.size
    if allowed is None:
        return np.arange(min(count, context.bundle.item_count), dtype=np.int32)
    # Items are numbered by falling popularity: mostly the first few hundred suffice.
    found = np.flatnonzero(allowed[: 20 * count])[:count]
    if len(found) < count:
        found = np.flatnonzero(allowed)[:count]
    return found.astype(np.int32)


def _passing(items: Ints, allowed: Mask | None) -> Ints:
    return items if allowed is None else items[allowed.take(items)]
