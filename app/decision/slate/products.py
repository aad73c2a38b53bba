"""The last stage: the best candidates in order, with reasons in words that a customer understands."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import numpy as np

from app.decision.customer.context import Context
from app.decision.customer.place import Had, currency_here, had_here
from app.decision.customer.promotions import Promotions
from app.decision.ranking.features import COLUMNS
from app.decision.ranking.scoring import ScoredCandidates, factors, probability
from app.decision.replenishment.interval import interval_reasons
from app.decision.slate.new_products import with_new_place, with_new_reasons
from app.decision.slate.objective import Worth, worth_of
from app.decision.slate.reranking import Reranking
from app.domain import Floats, Ints, ProductId, Proposition, Reason
from app.places.live import Place


def top_positions(scored: ScoredCandidates, size: int, place: Place | None = None) -> Ints:
    """Places in `scored` of the `size` best: falling score, equal scores by falling popularity.

    With a `place` what the customer can have sooner comes first among equals.
    """
    falling = -scored.score
    best = np.arange(len(falling))
    if size < len(falling):
        # All that are as good as the last to be shown, so that popularity decides between equals.
        best = (falling <= np.partition(falling, size - 1)[size - 1]).nonzero()[0]
    # Items are numbered by falling popularity, so a stable sort breaks ties that way.
    falling = falling[best]
    order = falling.argsort(kind="stable")
    if place is not None and np.count_nonzero((ordered := falling[order])[1:] == ordered[:-1]):
        order = np.lexsort((place.soonest_s(scored.items[best]), falling))
    return best[order][:size].astype(np.int32)


def slate_positions(context: Context, scored: ScoredCandidates, new: Ints, reranking: Reranking | None) -> Ints:
    """Places in `scored` of at most `query.size` products, best first; `new` are the new products that fit, best first.

    With a `reranking` they are its positions, else the best by score.
    """
    if reranking is not None:
        return reranking.positions
    return with_new_place(context, scored, top_positions(scored, context.query.size, context.place), new)


def make_slate(
    context: Context,
    scored: ScoredCandidates,
    positions: Ints,
    new: Ints,
    reranking: Reranking | None,
    *,
    ranks: Iterable[int] | None = None,
    had: Had | None = None,
) -> list[Proposition]:
    """The propositions of the products at `positions`, ranked from 1 where no `ranks` are given.

    `had`: what they cost here, and how the customer can have them, where that was found already.
    """
    catalogue = context.bundle.catalogue
    items = scored.items[positions]
    contributions = scored.contributions(positions)
    score = scored.score[positions]
    chance = probability(context, score)
    reasons = with_new_reasons(context, items, reasons_for(context, items, contributions), new)
    had = had or had_here(context, items)
    columns = zip(
        items.tolist(),
        score.tolist(),
        chance.tolist(),
        reasons if reranking is None else _with_pinned_reasons(reasons, reranking),
        _expected_minor(chance, worth_of(context, items, had.prices.minor)),
        _factors(context, scored, positions, reranking) if context.query.explain else [None] * len(items),
        had.shown_minor(),
        had.options,
        had.references_minor(),
        strict=True,
    )
    ids, names, currency = catalogue.product_ids, catalogue.names, currency_here(context)
    # Positional: keywords double what each proposition costs.
    return [
        Proposition(
            "product",
            ProductId(ids[item]),
            rank,
            score,
            chance,
            (reason,),
            1.0,
            worth,
            currency,
            names[item],
            added,
            price,
            None,
            ways,
            before,
        )
        for rank, (item, score, chance, reason, worth, added, price, ways, before) in zip(
            ranks or count(1), columns, strict=False
        )
    ]


def _with_pinned_reasons(reasons: Sequence[Reason], reranking: Reranking) -> list[Reason]:
    return [PINNED if is_pinned else reason for is_pinned, reason in zip(reranking.is_pinned, reasons, strict=True)]


def _factors(
    context: Context, scored: ScoredCandidates, positions: Ints, reranking: Reranking | None
) -> Sequence[Mapping[str, float]]:
    """Per position what made its score, and what the placement made of that."""
    of_score = factors(context, scored, positions)
    if reranking is None:
        return of_score
    return [{**one, **more} for one, more in zip(of_score, reranking.factors, strict=True)]


def _expected_minor(chance: Floats, worth: Worth) -> list[int | None]:
    """Probability × what one piece brings in, None where that is unknown."""
    # In double precision, because single is exact up to 16.7 million minor units only.
    expected = np.rint(chance.astype(np.float64) * worth.minor).astype(np.int64).tolist()
    return [minor if known else None for minor, known in zip(expected, worth.is_known.tolist(), strict=True)]


PINNED = Reason("pinned", "Chosen by the store")
ON_PROMOTION = Reason("on_promotion", "On promotion this week")
LESS_THAN_A_PROMOTION = ("taste", "trending")
"""Reasons that tell a customer less than a promotion does: what they have or looked at themselves stays in front."""
BUY_AGAIN, TOGETHER, TASTE, TRENDING = range(4)
_KIND_OF = {
    "als": TASTE,
    "linear": TASTE,
    "next": TASTE,
    "following": TASTE,
    "seen": TASTE,
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
    """Per item the reason of the kind that adds most to its score, among the kinds that have one for it.

    Instead of a taste or a trend, that the item is on promotion in the customer's store, where it is.
    """
    kinds = (-(contributions @ _COLUMNS_TO_KINDS)).argsort(axis=1, kind="stable").tolist()
    bought = _bought_reasons(context, items)
    reasons = [
        reason if reason is not None and order[0] == BUY_AGAIN else _first_reason(context, item, order, reason)
        for item, order, reason in zip(items.tolist(), kinds, bought, strict=True)
    ]
    return reasons if context.promotions is None else _with_promotions(reasons, context.promotions, items)


def _with_promotions(reasons: Sequence[Reason], promotions: Promotions, items: Ints) -> list[Reason]:
    here = promotions.here
    is_promoted = here.flags[0].take(here.places_of(items)).tolist()
    return [
        ON_PROMOTION if promoted and reason.code in LESS_THAN_A_PROMOTION else reason
        for promoted, reason in zip(is_promoted, reasons, strict=True)
    ]


def _first_reason(context: Context, item: int, kinds: list[int], bought: Reason | None) -> Reason:
    """The reason of the first of `kinds` that has one."""
    for kind in kinds:
        if kind == BUY_AGAIN:
            reason = bought
        elif kind == TOGETHER:
            reason = _together(context, item)
        elif kind == TASTE:
            reason = _taste(context, item)
        else:
            reason = _trending(context)
        if reason is not None:
            return reason
    raise AssertionError("trending always has a reason")


def _bought_reasons(context: Context, items: Ints) -> list[Reason | None]:
    """How often the customer buys each item and when last; None where they never did."""
    bought = context.bought
    if not len(bought.items):
        return [None] * len(items)
    position = bought.items.searchsorted(items)
    count, first_day, last_day = (
        column.take(position, mode="clip") for column in (bought.count, bought.first_day, bought.last_day)
    )
    reasons = interval_reasons(context, count=count, first_day=first_day, last_day=last_day)
    was_bought = (bought.items.take(position, mode="clip") == items).tolist()
    return [reason if known else None for known, reason in zip(was_bought, reasons, strict=True)]


def _together(context: Context, item: int) -> Reason | None:
    anchor, position = (context.near == item).nonzero()
    if not len(anchor):
        return None
    pull = context.near_score[anchor, position]
    nearest = int(pull.argmax())
    if pull[nearest] == 0:
        return None
    other = context.anchors[anchor[nearest]]
    name = context.bundle.catalogue.names[other] or "a product"
    where = " in your basket" if other in context.basket else ", which you viewed"
    return Reason("bought_together", f"Often bought with {name}{where}")


def _taste(context: Context, item: int) -> Reason | None:
    if item in context.anchors:
        return Reason("recently_viewed", "You looked at this lately")
    if context.user is None:
        return None
    if len(context.bought.items):
        return Reason("taste", "Customers who shop like you buy this")
    return Reason("taste", "Matches what you are looking at")


def _trending(context: Context) -> Reason:
    if context.group.startswith("store:"):
        return Reason("trending", "Popular in your store right now")
    return Reason("trending", "Popular right now")
