"""Two hundred events in batches: good ones of every kind, repeated ones, and ones that must be rejected."""

import random
from collections.abc import Iterator
from typing import Any

from benchmarks.behaviour.recording import Recorder
from benchmarks.behaviour.store import CUSTOMER_IDS, HOLDER_IDS, PRODUCT_IDS, UNKNOWN_IDS

COUNT = 200
BATCH = 20
SHOPPERS = (*HOLDER_IDS[:8], *CUSTOMER_IDS[30:34], UNKNOWN_IDS[0])
"""The customers who do something."""
EARNERS = HOLDER_IDS[:3]
"""Those of them whose receipts earn a coupon."""
TYPES = (
    "view_item", "view_item", "view_item", "add_to_cart", "add_to_wishlist", "select_item", "scan_item", "purchase",
    "purchase", "begin_checkout", "search", "remove_from_cart", "refund",
)  # fmt: skip
PRODUCT_TYPES = {"view_item", "add_to_cart", "add_to_wishlist", "select_item", "scan_item", "purchase", "refund"}
PROMOTIONS = (("dismiss_promotion", "w-produce", 1), ("view_promotion", "w-milk", 10), ("view_promotion", "w-eggs", 9))


def send_events(recorder: Recorder) -> None:
    """All of them, ten batches; returns once the receipts among them have earned their coupons."""
    events = _events()
    for start in range(0, len(events), BATCH):
        recorder.ask("/v1/events", {"events": events[start : start + BATCH]})
    recorder.ask("/v1/events", {"events": []})
    recorder.ask("/v1/events", {"events": [_view(0)] * 201})
    for customer_id in EARNERS:
        recorder.wait_for(f"/v1/customers/{customer_id}/wallet", lambda wallet: "r-five" in str(wallet))
        recorder.get(f"/v1/customers/{customer_id}/wallet")


def _events() -> list[Any]:
    """COUNT events; every thirteenth of the last ones is the one before it, sent again."""
    events = [*_receipts(), *_promotions(), *_wrong()]
    chance = random.Random(13)
    for number in range(COUNT):
        event = _event(number, chance)
        events += [event, event] if number % 12 == 11 else [event]
    return events[:COUNT]


def _event(number: int, chance: random.Random) -> dict[str, Any]:
    kind, shopper = chance.choice(TYPES), chance.choice(SHOPPERS)
    event: dict[str, Any] = {
        "id": f"event-{number}",
        "type": kind,
        "time": f"2018-01-01T{5 + number % 4:02d}:{number % 60:02d}:{chance.randrange(60):02d}Z",
        "channel": chance.choice(("app", "web", "store")),
    }
    event |= {"anonymous_id": f"device-{number % 10}"} if chance.random() < 0.2 else {"customer_id": shopper}
    if kind in PRODUCT_TYPES:
        product_id = chance.choice(PRODUCT_IDS[:25])
        several = chance.random() < 0.2
        event |= {"items": [{"product_id": one} for one in PRODUCT_IDS[:3]]} if several else {"product_id": product_id}
    return event


def _view(number: int, **fields: Any) -> dict[str, Any]:
    event = {"id": f"view-{number}", "type": "view_item", "time": "2018-01-01T08:00:00Z", "customer_id": HOLDER_IDS[0]}
    return event | {"product_id": PRODUCT_IDS[0]} | fields


def _receipts() -> Iterator[dict[str, Any]]:
    """Receipts above 50.00 for the earners; one below for another customer, one with a refund that takes it below."""
    totals = [(customer_id, 6000) for customer_id in EARNERS] + [(HOLDER_IDS[3], 4000), (HOLDER_IDS[4], 5500)]
    for number, (customer_id, total) in enumerate(totals):
        receipt = {
            "time": "2018-01-01T07:30:00Z",
            "channel": "store",
            "store_id": "286",
            "currency": "USD",
            "customer_id": customer_id,
            "basket_id": f"receipt-{number}",
        }
        items = [{"product_id": one, "amount_minor": total // 2} for one in PRODUCT_IDS[4:6]]
        if customer_id == HOLDER_IDS[4]:
            refund = {"id": "receipt-refund", "type": "refund", "product_id": PRODUCT_IDS[4], "amount_minor": 2000}
            yield receipt | refund
        yield receipt | {"id": f"receipt-event-{number}", "type": "purchase", "items": items}


def _promotions() -> Iterator[dict[str, Any]]:
    for kind, offer_id, count in PROMOTIONS:
        for number in range(count):
            event = {"id": f"{kind}-{offer_id}-{number}", "type": kind, "offer_id": offer_id}
            yield event | {"time": "2018-01-01T06:00:00Z", "channel": "app", "customer_id": HOLDER_IDS[0]}


def _wrong() -> Iterator[Any]:
    yield "no event"
    yield _view(901, type="sneeze")
    yield _view(902, time="2100-01-01T00:00:00Z")
    yield _view(903, time="2018-01-01T08:00:00")
    yield _view(904, customer_id=None)
    yield _view(905, product_id=None)
    yield _view(906, items=[{"product_id": PRODUCT_IDS[1]}])
    yield _view(907, quantity=0)
    yield _view(908, colour="red")
    yield _view(909, currency="dollars")
    yield {key: value for key, value in _view(910).items() if key != "id"}
