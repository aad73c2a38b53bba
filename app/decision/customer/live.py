"""The live profile: what a person's last events say, computed afresh for each decision; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from app.domain import LiveEvent

PURCHASE = "purchase"
REFUND = "refund"
TRADES = frozenset({PURCHASE, REFUND})

# How much of a purchase each kind of interest is worth in the fold-in; types that are absent say nothing of taste.
INTEREST = {
    "purchase": 1.0,
    "add_to_cart": 0.7,
    "add_to_wishlist": 0.7,
    "begin_checkout": 0.7,
    "scan_item": 0.5,
    "select_item": 0.5,
    "view_item": 0.5,
}


@dataclass(frozen=True, slots=True)
class LivePurchase:
    """How often one product was bought since the features were built, and when last (unix seconds)."""

    count: float
    last_at: float


@dataclass(frozen=True, slots=True)
class LiveProfile:
    """`recent`: distinct products looked at or bought, latest first, with the strongest interest in each."""

    event_count: int = 0
    last_event_id: str | None = None
    recent: Mapping[str, float] = field(default_factory=dict)
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
    recent: dict[str, float] = {}
    for event in latest_first:
        interest = INTEREST.get(event.type)
        if interest is not None and event.product_id is not None and interest > recent.get(event.product_id, 0.0):
            # A known key keeps its position in a dict: that of the product's latest event.
            recent[event.product_id] = interest
    return LiveProfile(
        event_count=len(latest_first),
        last_event_id=latest_first[0].event_id if latest_first else None,
        recent=recent,
        bought=_bought([event for event in latest_first if event.time_s >= since_s and event.type in TRADES]),
    )


def _bought(trades: Iterable[LiveEvent]) -> dict[str, LivePurchase]:
    """Purchases less refunds; a product that was fully refunded is not bought."""
    bought: dict[str, LivePurchase] = {}
    for event in trades:
        if event.product_id is None:
            continue
        before = bought.get(event.product_id, LivePurchase(0.0, 0.0))
        step = 1.0 if event.type == PURCHASE else -1.0
        last_at = max(before.last_at, event.time_s) if event.type == PURCHASE else before.last_at
        bought[event.product_id] = LivePurchase(before.count + step, last_at)
    return {product_id: purchase for product_id, purchase in bought.items() if purchase.count > 0}
