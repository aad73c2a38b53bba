"""The last stage: the best candidates in order, with reasons in words that a customer understands."""

from collections.abc import Callable

import numpy as np

from app.decision.context import Context
from app.decision.features import COLUMNS
from app.decision.scoring import Scored
from app.domain import Ints, ProductId, Proposition, Reason


def top_items(scored: Scored, size: int) -> Ints:
    """Places in `scored` of the `size` best: falling score, NaN last, equal scores by falling popularity."""
    ranked = np.where(np.isnan(scored.score), -np.inf, scored.score)
    if len(ranked) > 4 * size:
        floor = np.partition(ranked, len(ranked) - size)[len(ranked) - size]
        places = np.flatnonzero(ranked >= floor)
    else:
        places = np.arange(len(ranked))
    # Items are numbered by falling popularity and `places` ascend, so a stable sort breaks ties that way.
    return places[np.argsort(-ranked[places], kind="stable")][:size].astype(np.int32)


def make_slate(context: Context, scored: Scored) -> list[Proposition]:
    """At most `query.size` propositions, ranked from 1."""
    places = top_items(scored, context.query.size)
    return [_proposition(context, scored, int(place), rank) for rank, place in enumerate(places, start=1)]


def _proposition(context: Context, scored: Scored, place: int, rank: int) -> Proposition:
    catalogue = context.bundle.catalogue
    item = int(scored.items[place])
    probability = float(scored.probability[place])
    price_minor = int(catalogue.price_minor[item])
    return Proposition(
        kind="product",
        product_id=ProductId(catalogue.product_ids[item]),
        rank=rank,
        score=float(scored.score[place]) if not np.isnan(scored.score[place]) else 0.0,
        probability=probability,
        reasons=(reason_for(context, scored, place),),
        expected_minor=round(probability * price_minor) if price_minor >= 0 else None,
        name=catalogue.names[item],
        factors=_factors(scored, place) if context.query.explain else None,
    )


def _factors(scored: Scored, place: int) -> dict[str, float]:
    return dict(zip(COLUMNS, scored.contributions[place].tolist(), strict=True))


def reason_for(context: Context, scored: Scored, place: int) -> Reason:
    """The reason of the kind that adds most to the score; purchases of the customer's own speak for themselves."""
    added = dict(zip(COLUMNS, scored.contributions[place].tolist(), strict=True))
    item = int(scored.items[place])
    strength = {
        _buy_again: added["frequent_28d"] + added["frequent_112d"] + added["frequent_all"],
        _together: added["together"],
        _similar: added["als"],
        _trending: added["trending"] + added["popular"],
    }
    for tell in sorted(strength, key=lambda tell: -strength[tell]):
        reason = tell(context, item)
        if reason is not None:
            return reason
    return Reason("popular", "Popular with our customers")


Tell = Callable[[Context, int], Reason | None]


def _buy_again(context: Context, item: int) -> Reason | None:
    bought = context.bought
    place = int(np.searchsorted(bought.items, item))
    if place == len(bought.items) or bought.items[place] != item:
        return None
    count = float(bought.count[place])
    span_days = float(bought.last_day[place] - bought.first_day[place])
    if count < 3 or span_days < 2:
        return Reason("buy_again", "You bought this before")
    gap_days = max(round(span_days / (count - 1)), 1)
    return Reason(
        "buy_again",
        "You buy this every day" if gap_days == 1 else f"You buy this about every {gap_days} days",
    )


def _together(context: Context, item: int) -> Reason | None:
    anchors = context.anchors
    rows = context.bundle.neighbours_idx[anchors]
    hits = np.where(rows == item, context.bundle.neighbours_score[anchors], 0).max(axis=1, initial=0)
    if not hits.any():
        return _seen(context, item)
    anchor = int(anchors[int(hits.argmax())])
    name = context.bundle.catalogue.names[anchor]
    where = "in your basket" if anchor in context.basket else "you looked at"
    text = f"Often bought with {name} {where}" if name else f"Often bought with a product {where}"
    return Reason("bought_together", text)


def _seen(context: Context, item: int) -> Reason | None:
    return Reason("recently_viewed", "You looked at this lately") if item in context.anchors else None


def _similar(context: Context, item: int) -> Reason | None:
    if context.user is None:
        return None
    if len(context.bought.items):
        return Reason("taste", "Customers who shop like you buy this")
    return Reason("taste", "Matches what you are looking at")


def _trending(context: Context, item: int) -> Reason | None:
    store_id = context.query.store_id
    if store_id is not None and f"store:{store_id}" in context.bundle.group_of:
        return Reason("trending", "Popular in your store right now")
    return Reason("trending", "Popular right now")
