"""Whether the price that a store shows is the price that its till charges, over HTTP and whatever changes in between.

    python -m benchmarks.places.prices --baskets 1000
    python -m benchmarks.places.prices --baskets 100 --without-guarantee

Customers are shown products and a coupon each, then prices change, then they pay. The second command lets the till
forget what was shown: then it must be noticed, or this benchmark would prove nothing. Exits with 1 when it came out
otherwise.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from app.api.till import routes
from app.composition.stores import opened_ledger, projections_of, redis_client
from app.settings import Settings
from app.stores.redis.server.embedded import redis_for
from benchmarks.places.market import SHOPS, STORES, Json, Market, RandomOffer
from benchmarks.support import machine
from tests.support.server import serving
from tests.support.shop import Shop, new_name
from tests.support.world import build_world

AT_ONCE = 10
"""Customers who have seen prices before these change."""
CHANGES = 160
JUST_BEFORE = timedelta(milliseconds=1)
GUARD = "find_guarantee"


@dataclass(frozen=True, slots=True)
class Visit:
    """A customer with a coupon, and what they were shown in a store; `price_minor` by product, of the slate."""

    customer_id: str
    offer: RandomOffer
    store_id: str
    slate: Json
    price_minor: Mapping[str, int]

    @property
    def coupon(self) -> Json | None:
        """The proposition of the coupon, None where it is not shown."""
        return next((one for one in self.slate["propositions"] if one["kind"] == "coupon"), None)


@dataclass(slots=True)
class Audit:
    """What was checked, and what was wrong in words."""

    baskets: int = 0
    charged_lines: int = 0
    changed_lines: int = 0
    coupons_paid: int = 0
    expired_lines: int = 0
    faults: list[str] = field(default_factory=list)

    def check(self, found: object, expected: object, what: str) -> None:
        """Notes a fault where the two differ."""
        if found != expected:
            self.faults.append(f"{what}: {found}, not {expected}")


def shown_and_charged(market: Market, baskets: int) -> Audit:
    """What became of so many baskets, between which prices change."""
    audit = Audit()
    while audit.baskets < baskets:
        visits = [_visit(market, audit) for _ in range(min(AT_ONCE, baskets - audit.baskets))]
        market.change_prices(CHANGES)
        for visit in visits:
            _check_basket(market, visit, audit)
            _check_other_store(market, visit, audit)
            _check_expiry(market, visit, audit)
            _check_coupon(market, visit, audit)
            audit.baskets += 1
    return audit


def _visit(market: Market, audit: Audit) -> Visit:
    offer = market.offers[int(market.random.integers(len(market.offers)))]
    customer_id, store_id = market.give(offer), market.pick(SHOPS)
    context = {"store_id": store_id}
    if market.random.random() < 0.3:
        context["pickup_store_id"] = market.pick(SHOPS)
    slate = market.decide(customer_id, **context)
    prices = {one["product_id"]: one["price"]["amount_minor"] for one in slate["propositions"]}
    for one in slate["propositions"]:
        product_id = one["product_id"]
        audit.check(one["price"]["amount_minor"], market.price_of(store_id, product_id), f"{product_id} is shown at")
        for option in one["options"]:
            price_minor = market.price_of(option["store_id"], product_id)
            audit.check(option["price"]["amount_minor"], price_minor, f"option of {product_id} is shown at")
    return Visit(customer_id, offer, store_id, slate, prices)


def _check_basket(market: Market, visit: Visit, audit: Audit) -> None:
    """Products in the store, some of them with a price that the till names: none is dearer than it was shown."""
    lines = [_line(market, product_id) for product_id in _some(market, visit)]
    answer = _charge(market, visit, lines, store_id=visit.store_id, wallet=True)
    for line, priced in zip(lines, answer["lines"], strict=True):
        product_id, quantity = line["product_id"], line["quantity"]
        shown = visit.price_minor[product_id]
        price_minor = min(shown, line.get("unit_price_minor", shown))
        audit.check(priced["amount_minor"], price_minor * quantity, f"{quantity} of {product_id} cost")
        floor_minor = min(visit.offer.floor_minor, price_minor) * quantity
        if product_id in visit.offer.product_ids and priced["payable_minor"] < floor_minor:
            audit.faults.append(f"{product_id} goes for {priced['payable_minor']}, below {floor_minor}")
        audit.charged_lines += 1
        audit.changed_lines += market.price_of(visit.store_id, product_id) != shown


def _check_other_store(market: Market, visit: Visit, audit: Audit) -> None:
    """The same products in another store: at the price of its option where one was shown, else of the slate."""
    store_id = market.pick([name for name in STORES if name != visit.store_id])
    product_ids = _some(market, visit)
    answer = _charge(market, visit, [{"product_id": name} for name in product_ids], store_id=store_id, wallet=True)
    for product_id, priced in zip(product_ids, answer["lines"], strict=True):
        of_product = (one for one in visit.slate["propositions"] if one["product_id"] == product_id)
        options = [option for one in of_product for option in one["options"] if option["store_id"] == store_id]
        shown = options[0]["price"]["amount_minor"] if options else visit.price_minor[product_id]
        audit.check(priced["amount_minor"], shown, f"{product_id} costs elsewhere")
        audit.charged_lines += 1


def _check_expiry(market: Market, visit: Visit, audit: Audit) -> None:
    """What was shown holds until the last moment, and then the present price counts."""
    product_ids = _some(market, visit)
    lines: list[Json] = [{"product_id": name} for name in product_ids]
    expires_at = datetime.fromisoformat(visit.slate["expires_at"])
    for now, price_of in (
        (expires_at - JUST_BEFORE, visit.price_minor.__getitem__),
        (expires_at, lambda product_id: market.price_of(visit.store_id, product_id)),
    ):
        answer = _charge(market, visit, lines, store_id=visit.store_id, wallet=True, now=now.isoformat())
        for product_id, priced in zip(product_ids, answer["lines"], strict=True):
            audit.check(priced["amount_minor"], price_of(product_id), f"{product_id} costs at {now:%X.%f}")
            audit.expired_lines += 1


def _check_coupon(market: Market, visit: Visit, audit: Audit) -> None:
    """The order is paid with the coupon: it takes off one piece what was shown, and nothing below the floor."""
    if visit.coupon is None:
        return
    product_id, coupon = visit.coupon["product_id"], visit.coupon["coupon"]
    line = {"product_id": product_id}
    body = {"order_id": new_name(), "customer_id": visit.customer_id, "codes": [coupon["code"]], "lines": [line]}
    body |= {"store_id": visit.store_id, "decision_id": visit.slate["decision_id"]}
    response = market.shop.send("POST", "/v1/redemptions", body)
    paid = response.json()
    if response.status_code != 201:
        audit.check(coupon["saving"]["amount_minor"], 0, f"coupon for {product_id} that gives nothing saves")
        return
    price_minor = visit.price_minor[product_id]
    what = f"{product_id} at {price_minor} with {visit.offer.offer_id}"
    audit.check(paid["basket_minor"], price_minor, f"{what} costs")
    audit.check(paid["discount_minor"], coupon["saving"]["amount_minor"], f"{what} is reduced by")
    if paid["payable_minor"] < min(price_minor, visit.offer.floor_minor):
        audit.faults.append(f"{what} goes for {paid['payable_minor']}, below its floor")
    audit.coupons_paid += 1


def _some(market: Market, visit: Visit) -> list[str]:
    """One to four of the products that were shown."""
    return [market.pick(list(visit.price_minor)) for _ in range(int(market.random.integers(1, 5)))]


def _line(market: Market, product_id: str) -> Json:
    line: Json = {"product_id": product_id, "quantity": int(market.random.integers(1, 4))}
    return line if market.random.random() < 0.5 else line | {"unit_price_minor": int(market.random.integers(1, 999))}


def _charge(market: Market, visit: Visit, lines: list[Json], **fields: object) -> Json:
    """What the basket costs, without buying it."""
    body = {"customer_id": visit.customer_id, "decision_id": visit.slate["decision_id"], "lines": lines} | fields
    return market.shop.post("/v1/validations" + "?dry_run=true" * ("now" in fields), body, status=200)


@contextmanager
def forgetful_till() -> Iterator[None]:
    """Within the block the tills of this process know nothing of what a decision showed."""
    find = getattr(routes, GUARD)

    async def find_nothing(*_: object, **__: object) -> None:
        return None

    # The guard taken out, in this process alone.
    setattr(routes, GUARD, find_nothing)
    try:
        yield
    finally:
        setattr(routes, GUARD, find)


@contextmanager
def opened_market(settings: Settings, redis_url: str, *, seed: int) -> Iterator[Market]:
    """A market on a service with these settings, which hold a trained model."""
    with (
        opened_ledger(settings) as ledger,
        closing(projections_of(settings, ledger, redis_client(redis_url))) as projections,
    ):
        # Until then no decision knows of any wallet.
        projections.rebuild()
    with serving(settings, redis_url) as client:
        market = Market(Shop(client, settings.ledger_url), np.random.default_rng(seed))
        market.open()
        yield market


@contextmanager
def own_market(seed: int) -> Iterator[Market]:
    """A market on a small retailer of its own."""
    with TemporaryDirectory() as folder:
        settings = Settings.load(data_dir=Path(folder) / "valkey")
        settings.data_dir.mkdir()
        with (
            redis_for(settings) as url,
            opened_market(build_world(Path(folder), url).settings, url, seed=seed) as found,
        ):
            yield found


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baskets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-guarantee", action="store_true")
    given = parser.parse_args()
    facts = machine.facts()
    with own_market(given.seed) as market:
        begun = perf_counter()
        if given.without_guarantee:
            with forgetful_till():
                audit = shown_and_charged(market, given.baskets)
        else:
            audit = shown_and_charged(market, given.baskets)
        seconds = round(perf_counter() - begun, 1)
    found = {
        "seed": given.seed,
        "without_guarantee": given.without_guarantee,
        "seconds": seconds,
        "baskets": audit.baskets,
        "price_changes": market.change_count,
        "charged_lines": audit.charged_lines,
        "of_them_changed_since": audit.changed_lines,
        "lines_at_expiry": audit.expired_lines,
        "coupons_paid": audit.coupons_paid,
        "faults": len(audit.faults),
        "first_faults": audit.faults[:10],
    }
    machine.show({"benchmark": "prices", **facts, **found})
    sys.exit(bool(audit.faults) != given.without_guarantee)


if __name__ == "__main__":
    main()
