"""The live profile: what a person's last events say, computed afresh for each decision; pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from operator import attrgetter

from app.baskets.reports import ReportedLine, counted_lines
from app.domain import PURCHASE, TRADES, LiveEvent

# How much of a purchase each kind of interest is worth in the fold-in; types that are absent say nothing of it.
INTEREST = {
    "purchase": 1.0,
    "add_to_cart": 0.7,
    "add_to_wishlist": 0.7,
    "begin_checkout": 0.7,
    "scan_item": 0.5,
    "select_item": 0.5,
    "view_item": 0.5,
}


TAKEN_BACK = frozenset({"remove_from_cart", "remove_from_wishlist"})
"""Whoever does this is not interested any more, whatever they looked at before."""


@dataclass(frozen=True, slots=True)
class LivePurchase:
    """In how many baskets one product was bought since the features were built, when first and last (unix seconds).

    A count of -1: what was bought before came back, at no time of its own.
    """

    count: float
    first_at: float
    last_at: float


RETURNED = LivePurchase(-1.0, inf, -inf)
VISIT_S = 3 * 3600.0
"""So long after a purchase the visit may go on; learned from in `training/queries/moments.py`."""
LEAST = 1e-6
"""Sums of weights are a little off: less than this of a product is none."""
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class LiveProfile:
    """`recent`: distinct products of interest, latest first, with the strongest interest in each; `views` =
    how often each of them was viewed, or put into the cart.

    What was bought is of interest for three hours, in which other things go with it; then it is settled, with all looks
    at it before, as is at once what was taken out of the cart or the saved products.
    """

    event_count: int = 0
    last_event_id: str | None = None
    recent: Mapping[str, float] = field(default_factory=dict)
    views: Mapping[str, int] = field(default_factory=dict)
    bought: Mapping[str, LivePurchase] = field(default_factory=dict)


_KEY = attrgetter("event_id", "sender", "item")
NOTHING_LIVE = LiveProfile()


def live_profile(events: Sequence[LiveEvent], *, since_s: float, now_s: float) -> LiveProfile:
    """What `events` (any order, replays included) say as of `now_s`.

    Purchases before `since_s` are left out of `bought`: the customer's features already count them.
    Events later than `now_s` are not yet known, so that a what-if in the past sees the past.
    """
    if not events:
        return NOTHING_LIVE
    known = {_KEY(event): event for event in events if event.time_s <= now_s}
    # By key first, so that events of one instant come in the same order however they arrived.
    latest_first = sorted((known[key] for key in sorted(known)), key=attrgetter("time_s"), reverse=True)
    every = [event for event in latest_first if event.type in TRADES and event.quantity > 0]
    trades = _counted(every)
    since = [event for event in trades if event.time_s >= since_s]
    if len(since) < len(trades) or len(trades) < len(every):
        since = _unknown(since, every, since_s)
    bought = _bought(since)
    overall = bought if len(since) == len(trades) else _bought(trades)
    returned = {product_id for product_id, one in overall.items() if one.count <= 0}
    recent: dict[str, float] = {}
    views: Counter[str] = Counter()
    settled: set[str] = set()
    for event in latest_first:
        interest = INTEREST.get(event.type)
        if event.product_id is None or event.product_id in settled:
            continue
        if event.type == PURCHASE and (event.quantity <= 0 or event.product_id in returned):
            continue
        is_over = event.type == PURCHASE and now_s - event.time_s >= VISIT_S
        if is_over or event.type in TAKEN_BACK:
            settled.add(event.product_id)
        elif interest is not None:
            views[event.product_id] += event.type != PURCHASE
            # A known key keeps its position in a dict: that of the product's latest event.
            recent[event.product_id] = max(interest, recent.get(event.product_id, 0.0))
    return LiveProfile(
        event_count=len(latest_first),
        last_event_id=latest_first[0].event_id if latest_first else None,
        recent=recent,
        views=views,
        bought={product_id: one for product_id, one in bought.items() if one.count},
    )


def _counted(trades: list[LiveEvent]) -> list[LiveEvent]:
    """The trades without those that report a basket once more (`app/baskets/reports.py`)."""
    products = [(event.basket_id, event.type, event.product_id) for event in trades if event.basket_id is not None]
    # Mostly no basket names a product twice, and then there is nothing to choose.
    if len(set(products)) == len(products):
        return trades
    baskets: dict[str, list[LiveEvent]] = {}
    for event in trades:
        if event.basket_id is not None and event.product_id is not None:
            baskets.setdefault(event.basket_id, []).append(event)
    counted = {_KEY(event) for events in baskets.values() for event in counted_lines(events, _reported)}
    return [event for event in trades if event.basket_id is None or _KEY(event) in counted]


def _reported(event: LiveEvent) -> ReportedLine:
    return ReportedLine(
        event.type,
        event.product_id or "",
        event.quantity,
        event.amount_minor,
        event.time_s,
        event.sender,
        event.event_id,
        event.item,
        event.store_id,
    )


def _unknown(since: list[LiveEvent], every: list[LiveEvent], since_s: float) -> list[LiveEvent]:
    """Those of the trades `since` that do not report once more what features as of `since_s` count already."""
    known = {(one.basket_id, one.product_id) for one in every if one.time_s < since_s and one.type == PURCHASE}
    return [
        event
        for event in since
        if event.type != PURCHASE or event.basket_id is None or (event.basket_id, event.product_id) not in known
    ]


def _bought(trades: Iterable[LiveEvent]) -> dict[str, LivePurchase]:
    """Every product of these trades: in how many baskets it is, as the features count; 0 where all pieces came back."""
    baskets: dict[str, set[object]] = {}
    pieces: dict[str, float] = {}
    times: dict[str, list[float]] = {}
    for event in trades:
        product_id = event.product_id
        if product_id is None:
            continue
        if event.type == PURCHASE:
            # Without a name a day is a basket, so that one sale that is reported twice counts once.
            basket = event.time_s // DAY_S if event.basket_id is None else event.basket_id
            baskets.setdefault(product_id, set()).add(basket)
            times.setdefault(product_id, []).append(event.time_s)
        signed = event.quantity if event.type == PURCHASE else -event.quantity
        pieces[product_id] = pieces.get(product_id, 0.0) + signed
    bought: dict[str, LivePurchase] = {}
    for product_id, left in pieces.items():
        if product_id not in baskets or left < -LEAST:
            bought[product_id] = RETURNED
        elif left > LEAST:
            count = float(len(baskets[product_id]))
            bought[product_id] = LivePurchase(count, min(times[product_id]), max(times[product_id]))
        else:
            bought[product_id] = LivePurchase(0.0, min(times[product_id]), max(times[product_id]))
    return bought
