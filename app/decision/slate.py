"""The last stage: the best candidates in order, with reasons in words that a customer understands."""

from collections.abc import Callable, Mapping

import numpy as np

from app.decision.context import Context
from app.decision.features import COLUMNS
from app.decision.scoring import Scored
from app.domain import Ints, ProductId, Proposition, Reason


def top_places(scored: Scored, size: int) -> Ints:
    """Places in `scored` of the `size` best: falling score, NaN last, equal scores by falling popularity."""
    ranked = np.where(np.isnan(scored.score), -np.inf, scored.score)
    # Items are numbered by falling popularity, so a stable sort breaks ties that way.
    return np.argsort(-ranked, kind="stable")[:size].astype(np.int32)


def make_slate(context: Context, scored: Scored) -> list[Proposition]:
    """At most `query.size` propositions, ranked from 1."""
    catalogue = context.bundle.catalogue
    places = top_places(scored, context.query.size)
    items = scored.items[places].tolist()
    columns = zip(
        items,
        np.nan_to_num(scored.score[places]).tolist(),
        np.nan_to_num(scored.probability[places]).tolist(),
        catalogue.price_minor[items].tolist(),
        np.nan_to_num(scored.contributions[places]).tolist(),
        strict=True,
    )
    return [
        Proposition(
            kind="product",
            product_id=ProductId(catalogue.product_ids[item]),
            rank=rank,
            score=score,
            probability=probability,
            reasons=(reason_for(context, item, added),),
            expected_minor=round(probability * price_minor) if price_minor >= 0 else None,
            currency=catalogue.currency,
            name=catalogue.names[item],
            factors=dict(zip(COLUMNS, added, strict=True)) if context.query.explain else None,
        )
        for rank, (item, score, probability, price_minor, added) in enumerate(columns, start=1)
    ]


Tell = Callable[[Context, int], Reason | None]


def reason_for(context: Context, item: int, added: list[float]) -> Reason:
    """The reason of the kind that adds most to the score; `added` per column of COLUMNS, in order."""
    strength = dict.fromkeys(_TELLS, 0.0)
    for name, value in zip(COLUMNS, added, strict=True):
        strength[_KIND[name]] += value
    for kind in sorted(strength, key=strength.__getitem__, reverse=True):
        reason = _TELLS[kind](context, item)
        if reason is not None:
            return reason
    return Reason("popular", "Popular with our customers")


def _buy_again(context: Context, item: int) -> Reason | None:
    bought = context.bought
    place = int(bought.items.searchsorted(item))
    if place == len(bought.items) or bought.items[place] != item:
        return None
    count = float(bought.count[place])
    span_days = float(bought.last_day[place] - bought.first_day[place])
    if count < 3 or span_days < 2:
        return Reason("buy_again", "You bought this before")
    gap_days = max(round(span_days / (count - 1)), 1)
    return Reason(
        "buy_again", "You buy this every day" if gap_days == 1 else f"You buy this about every {gap_days} days"
    )


def _together(context: Context, item: int) -> Reason | None:
    anchors = context.anchors
    rows = context.bundle.neighbours_idx[anchors]
    pull = np.where(rows == item, context.bundle.neighbours_score[anchors], 0).max(axis=1, initial=0)
    if not pull.any():
        return None
    anchor = int(anchors[int(pull.argmax())])
    name = context.bundle.catalogue.names[anchor] or "a product"
    where = "in your basket" if anchor in context.basket else "you looked at"
    return Reason("bought_together", f"Often bought with {name} {where}")


def _similar(context: Context, item: int) -> Reason | None:
    if item in context.anchors:
        return Reason("recently_viewed", "You looked at this lately")
    if context.user is None:
        return None
    if len(context.bought.items):
        return Reason("taste", "Customers who shop like you buy this")
    return Reason("taste", "Matches what you are looking at")


def _trending(context: Context, item: int) -> Reason | None:
    if f"store:{context.query.store_id}" in context.bundle.group_of:
        return Reason("trending", "Popular in your store right now")
    return Reason("trending", "Popular right now")


_TELLS: Mapping[str, Tell] = {
    "buy_again": _buy_again,
    "together": _together,
    "similar": _similar,
    "trending": _trending,
}
_KIND = {
    "als": "similar",
    "frequent_28d": "buy_again",
    "frequent_112d": "buy_again",
    "frequent_all": "buy_again",
    "repeat": "buy_again",
    "together": "together",
    "trending": "trending",
    "popular": "trending",
}
