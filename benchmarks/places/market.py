"""Three shops and a warehouse whose prices change at random, and what each of them asks at any moment."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np

from tests.support.server import wait_until
from tests.support.shop import Shop, new_name
from tests.support.world import products

Json = dict[str, Any]
EVERYWHERE = None
PICKUP: Json = {"in_store": {}, "pickup": {"lead_minutes": 60}}
STORES: dict[str, Json] = {
    "s0": {"position": {"latitude": 52.52, "longitude": 13.40}, "ways": PICKUP},
    "s1": {"position": {"latitude": 52.40, "longitude": 13.07}, "ways": PICKUP},
    "s2": {"position": {"latitude": 52.46, "longitude": 13.32}, "ways": PICKUP},
    "online": {"kind": "warehouse", "ways": {"ship": {"lead_working_days": 2, "cut_off": "15:00"}}},
}
SHOPS = ("s0", "s1", "s2")
OFFER_COUNT = 24
DEAREST_MINOR = 999


@dataclass(frozen=True, slots=True)
class RandomOffer:
    """An offer, the products that it is good for, and what no piece of them gets cheaper than."""

    offer_id: str
    product_ids: frozenset[str]
    floor_minor: int


@dataclass(slots=True)
class Market:
    """`own`: the prices of stores and of everywhere, as they were reported last; the product table has the others."""

    shop: Shop
    random: np.random.Generator
    own: dict[tuple[str | None, str], int] = field(default_factory=dict)
    offers: list[RandomOffer] = field(default_factory=list)
    change_count: int = 0

    def open(self) -> None:
        """Stores, a random stock that lasts, prices for a part of the goods, and offers of each kind."""
        for store_id, store in STORES.items():
            self.shop.put(f"/v1/stores/{store_id}", store)
        cells = [(store_id, product_id) for store_id in STORES for product_id in LISTED]
        stocked = [cell for cell in cells if self.random.random() < 0.7]
        self._report([self._event("inventory_changed", *cell) | {"available": 100} for cell in stocked])
        self.change_prices(200)
        campaign_id = self.shop.campaign()
        self.offers += [self._offer(campaign_id, number) for number in range(OFFER_COUNT)]

    def price_of(self, store_id: str | None, product_id: str) -> int:
        """What a piece costs there now: by the store's own price, that of everywhere, or the product table."""
        of_all = self.own.get((EVERYWHERE, product_id), LISTED[product_id])
        return self.own.get((store_id, product_id), of_all)

    def change_prices(self, count: int) -> None:
        """So many other prices, some of them taken back, known to the service when it returns."""
        places = [*STORES, EVERYWHERE]
        cells = {(places[int(self.random.integers(len(places)))], self.product()) for _ in range(count)}
        events = []
        for cell in cells:
            if self.own.pop(cell, None) is None or self.random.random() < 0.8:
                self.own[cell] = self._price()
            events.append(self._event("price_changed", *cell) | {"price": money(self.own.get(cell))})
        self._report(events)
        self.change_count += len(events)
        for store_id in places:
            wait_until(lambda at=store_id: self._asks(at), f"the prices of {store_id} are known", timeout_s=10)

    def product(self) -> str:
        """One of the products."""
        return self.pick(list(LISTED))

    def pick(self, values: Sequence[str]) -> str:
        """One of these."""
        return values[int(self.random.integers(len(values)))]

    def decide(self, customer_id: str, **context: object) -> Json:
        """A slate of products and coupons."""
        kinds, exclude = ["product", "coupon"], list[str]()
        body = {"customer_id": customer_id, "placement": "app_home", "size": 40, "kinds": kinds, "exclude": exclude}
        return self.shop.post("/v1/decisions", body | {"explain": True, "context": context}, status=200)

    def _asks(self, store_id: str | None) -> bool:
        """True once a till of the store charges the present price of every product."""
        lines = [{"product_id": product_id} for product_id in LISTED]
        body = {"customer_id": "nobody", "wallet": True, "store_id": store_id, "lines": lines}
        answer = self.shop.post("/v1/validations", body, status=200)
        return [line["amount_minor"] for line in answer["lines"]] == [self.price_of(store_id, name) for name in LISTED]

    def _report(self, events: list[Json]) -> None:
        answer = self.shop.client.post("/v1/events", json={"events": events[:MOST_EVENTS]})
        assert answer.status_code == 202, answer.text
        assert {one["status"] for one in answer.json()["results"]} == {"accepted"}, answer.text
        if events[MOST_EVENTS:]:
            self._report(events[MOST_EVENTS:])

    def _event(self, event_type: str, store_id: str | None, product_id: str) -> Json:
        event = {"id": uuid4().hex, "type": event_type, "time": datetime.now(UTC).isoformat(), "product_id": product_id}
        return event if store_id is None else event | {"store_id": store_id}

    def _price(self) -> int:
        return int(self.random.integers(1, DEAREST_MINOR))

    def _offer(self, campaign_id: str, number: int) -> RandomOffer:
        product_ids = frozenset(self.product() for _ in range(1 + number % 3))
        discount: Json = (
            {"type": "percent", "percent": int(self.random.integers(1, 10_001)) / 100},
            {"type": "amount", "amount_minor": self._price()},
            {"type": "fixed_price", "price_minor": self._price()},
            {"type": "percent", "percent": 50, "max_discount_minor": self._price()},
        )[number % 4]
        floor_minor = int(self.random.choice([0, 0, self._price()]))
        terms = {"applies_to": [{"product_ids": sorted(product_ids)}], "price_floor_minor": floor_minor}
        return RandomOffer(self.shop.offer(campaign_id, discount=discount, **terms), product_ids, floor_minor)

    def give(self, offer: RandomOffer) -> str:
        """A new customer who has a coupon of the offer, which decisions know when it returns."""
        customer_id = new_name()
        self.shop.give(offer.offer_id, customer_id)
        wait_until(lambda: _coupons_seen(self.decide(customer_id)), f"{customer_id} has a coupon", timeout_s=10)
        return customer_id


def _coupons_seen(answer: Json) -> int:
    found = answer["trace"].get("coupons") or {"passed": 0, "dropped": {}}
    return int(found["passed"] + sum(drops["count"] for drops in found["dropped"].values()))


def money(amount_minor: int | None) -> Json | None:
    """The amount in euros, None for none."""
    return None if amount_minor is None else {"amount_minor": amount_minor, "currency": "EUR"}


MOST_EVENTS = 200
LISTED: dict[str, int] = {row["product_id"]: round(row["price"] * 100) for row in products().iter_rows(named=True)}
"""What the product table says, in minor units."""
