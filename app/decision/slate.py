"""The last stage: the best candidates in order, with reasons in words that a customer understands."""

from functools import cache

import numpy as np

from app.decision.context import Context
from app.decision.features import COLUMNS
from app.decision.newcomers import told_as_new, with_new_place
from app.decision.scoring import Scored, probability
from app.domain import Floats, Ints, ProductId, Proposition, Reason


def top_places(scored: Scored, size: int) -> Ints:
    """Places in `scored` of the `size` best: falling score, equal scores by falling popularity."""
    # Items are numbered by falling popularity, so a stable sort breaks ties that way.
    return np.argsort(-scored.score, kind="stable")[:size].astype(np.int32)


def make_slate(context: Context, scored: Scored) -> list[Proposition]:
    """At most `query.size` propositions, ranked from 1."""
    catalogue = context.bundle.catalogue
    places = with_new_place(context, scored, top_places(scored, context.query.size))
    items = scored.items[places]
    contributions = scored.contributions(places)
    columns = zip(
        items.tolist(),
        scored.score[places].tolist(),
        probability(context, scored.score[places]).tolist(),
        catalogue.price_minor[items].tolist(),
        told_as_new(context, items, reasons_for(context, items, contributions)),
        contributions.tolist(),
        strict=True,
    )
    return [
        Proposition(
            kind="product",
            product_id=ProductId(catalogue.product_ids[item]),
            rank=rank,
            score=score,
            probability=chance,
            reasons=(reason,),
            expected_minor=round(chance * price_minor) if price_minor >= 0 else None,
            currency=catalogue.currency,
            name=catalogue.names[item],
            factors=dict(zip(COLUMNS, added, strict=True)) if context.query.explain else None,
        )
        for rank, (item, score, chance, price_minor, reason, added) in enumerate(columns, start=1)
    ]


BUY_AGAIN, TOGETHER, TASTE, TRENDING = range(4)
_KIND_OF = {
    "als": TASTE,
    "frequent_28d": BUY_AGAIN,
    "frequent_112d": BUY_AGAIN,
    "frequent_all": BUY_AGAIN,
    "repeat": BUY_AGAIN,
    "together": TOGETHER,
    "trending": TRENDING,
    "popular": TRENDING,
}
_COLUMNS_TO_KINDS = np.array([[_KIND_OF[name] == kind for kind in range(4)] for name in COLUMNS], np.float32)


def reasons_for(context: Context, items: Ints, contributions: Floats) -> list[Reason]:
    """Per item the reason of the kind that adds most to its score and that can be told."""
    kinds = np.argsort(-(contributions @ _COLUMNS_TO_KINDS), axis=1, kind="stable").tolist()
    rhythms = _rhythms(context, items)
    return [
        _tell(context, item, kinds_of_item, rhythm)
        for item, kinds_of_item, rhythm in zip(items.tolist(), kinds, rhythms, strict=True)
    ]


def _tell(context: Context, item: int, kinds: list[int], rhythm: Reason | None) -> Reason:
    for kind in kinds:
        if kind == BUY_AGAIN:
            reason = rhythm
        elif kind == TOGETHER:
            reason = _together(context, item)
        elif kind == TASTE:
            reason = _taste(context, item)
        else:
            reason = _trending(context)
        if reason is not None:
            return reason
    raise AssertionError("trending can always be told")


def _rhythms(context: Context, items: Ints) -> list[Reason | None]:
    """How often the customer buys each item; None where they never did."""
    bought = context.bought
    if not len(bought.items):
        return [None] * len(items)
    place = np.minimum(np.searchsorted(bought.items, items), len(bought.items) - 1)
    count, span_days = bought.count[place], bought.last_day[place] - bought.first_day[place]
    gap_days = np.maximum(np.rint(span_days / np.maximum(count - 1, 1)), 1)
    gap_days[(count < 3) | (span_days < 2)] = 0
    was_bought = bought.items[place] == items
    return [
        _rhythm(gap) if known else None
        for known, gap in zip(was_bought.tolist(), gap_days.astype(np.int32).tolist(), strict=True)
    ]


@cache
def _rhythm(gap_days: int) -> Reason:
    """Words for a mean gap between purchases in whole days; 0 = too few of them to tell."""
    if gap_days == 0:
        return Reason("buy_again", "You bought this before")
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


def _taste(context: Context, item: int) -> Reason | None:
    if item in context.anchors:
        return Reason("recently_viewed", "You looked at this lately")
    if context.user is None:
        return None
    if len(context.bought.items):
        return Reason("taste", "Customers who shop like you buy this")
    return Reason("taste", "Matches what you are looking at")


def _trending(context: Context) -> Reason:
    if f"store:{context.query.store_id}" in context.bundle.group_of:
        return Reason("trending", "Popular in your store right now")
    return Reason("trending", "Popular right now")
