"""What one person did lately on every channel, folded from their events: cart, saved products, views, open journey."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter

from app.domain import PURCHASE, REFUND, Event

ADD_TO_CART, REMOVE_FROM_CART, BEGIN_CHECKOUT = "add_to_cart", "remove_from_cart", "begin_checkout"
SAVE, UNSAVE = "add_to_wishlist", "remove_from_wishlist"
CART_TYPES = frozenset({ADD_TO_CART, REMOVE_FROM_CART, BEGIN_CHECKOUT, PURCHASE})
SAVED_TYPES = frozenset({SAVE, UNSAVE})
VIEW_TYPES = frozenset({"view_item", "scan_item", "select_item"})
CART_FOR = timedelta(days=30)
"""What nobody touched for so long was left behind."""
JOURNEY_GAP = timedelta(days=7)
"""After so long without a sign a new journey begins."""
MOST_VIEWED = 20
LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class CartLine:
    """A product in the cart: how much of it, since when, and where it was last touched."""

    product_id: str
    quantity: float
    added_at: datetime
    channel: str | None


@dataclass(frozen=True, slots=True)
class Noted:
    """A product that was saved or viewed: when last, and where."""

    product_id: str
    at: datetime
    channel: str | None


@dataclass(frozen=True, slots=True)
class Journey:
    """An open way to a purchase: `stage` is browsing, cart or checkout; `channels` in the order in which they came."""

    begun_at: datetime
    last_at: datetime
    stage: str
    channels: tuple[str, ...]
    session_id: str | None
    store_id: str | None


@dataclass(frozen=True, slots=True)
class PersonState:
    """What can be gone on with anywhere; every list latest first."""

    cart: tuple[CartLine, ...]
    saved: tuple[Noted, ...]
    recently_viewed: tuple[Noted, ...]
    journey: Journey | None


def person_state(events: Iterable[Event], *, now: datetime) -> PersonState:
    """The state as of `now` after these events, in any order and repeated."""
    known = {event.key: event for event in events}
    # By key first, so that events of one instant come in the same order however they arrived.
    ordered = sorted((known[key] for key in sorted(known)), key=attrgetter("time"))
    cart = _cart([event for event in ordered if event.time >= now - CART_FOR])
    return PersonState(
        tuple(sorted(cart, key=attrgetter("added_at"), reverse=True)),
        _latest_first(_saved(ordered)),
        _latest_first(_viewed(ordered))[:MOST_VIEWED],
        _journey(ordered, has_cart=bool(cart), now=now),
    )


def _cart(ordered: Sequence[Event]) -> list[CartLine]:
    lines: dict[str, CartLine] = {}
    for event in ordered:
        product_id = event.product_id
        if product_id is None or event.type not in CART_TYPES - {BEGIN_CHECKOUT}:
            continue
        line = lines.pop(product_id, None)
        before = 0.0 if line is None else line.quantity
        if event.type == ADD_TO_CART:
            lines[product_id] = CartLine(product_id, before + event.quantity, event.time, event.channel)
        # What was bought is out of the cart on every channel; a removal without a quantity of its own takes one.
        elif event.type == REMOVE_FROM_CART and line is not None and before - event.quantity > LEAST:
            lines[product_id] = replace(line, quantity=before - event.quantity, channel=event.channel)
    return list(lines.values())


def _saved(ordered: Sequence[Event]) -> dict[str, Noted]:
    saved: dict[str, Noted] = {}
    for event in ordered:
        if event.product_id is not None and event.type in SAVED_TYPES:
            saved.pop(event.product_id, None)
            if event.type == SAVE:
                saved[event.product_id] = Noted(event.product_id, event.time, event.channel)
    return saved


def _viewed(ordered: Sequence[Event]) -> dict[str, Noted]:
    return {
        event.product_id: Noted(event.product_id, event.time, event.channel)
        for event in ordered
        if event.product_id is not None and event.type in VIEW_TYPES
    }


def _latest_first(noted: dict[str, Noted]) -> tuple[Noted, ...]:
    return tuple(sorted(noted.values(), key=attrgetter("at"), reverse=True))


def _journey(ordered: Sequence[Event], *, has_cart: bool, now: datetime) -> Journey | None:
    steps: list[Event] = []
    for event in ordered:
        if event.type in (PURCHASE, REFUND):
            # A purchase is where a journey ends; what is still in the cart goes on.
            steps = []
        elif steps and event.time - steps[-1].time > JOURNEY_GAP:
            steps = [event]
        else:
            steps.append(event)
    if not steps or now - steps[-1].time > JOURNEY_GAP:
        return None
    has_checkout = any(event.type == BEGIN_CHECKOUT for event in steps)
    channels = tuple(dict.fromkeys(event.channel for event in steps if event.channel is not None))
    stage = "browsing" if not has_cart else "checkout" if has_checkout else "cart"
    last = steps[-1]
    return Journey(steps[0].time, last.time, stage, channels, last.session_id, last.store_id)
