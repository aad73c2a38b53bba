"""A shop whose stock flips: stores of every kind, what they have at first, coupons, and questions of customers."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from app.model.bundle import current_version, load_bundle
from app.offers.terms.terms import Amount, ByDecision, CampaignTerms, OfferTerms
from app.places.stock import StockReport
from app.places.stores import DeliverySlot, Fulfilment, Position, Store, Way
from app.settings import ProductSelector, Settings
from app.stores.redis.keys import RedisKeys, worker_client
from app.stores.redis.projections import Projections
from app.stores.sql.campaigns.campaigns import act_on_campaign, create_campaign, create_offer
from app.stores.sql.database.engine import Transaction, open_ledger
from app.stores.sql.database.schema import upgrade
from app.stores.sql.places.stock import apply_stock
from app.stores.sql.places.stores import put_stores
from benchmarks.chaos.shop import currency_of
from benchmarks.places.truth import Cell, Truth
from benchmarks.support.questions import Known, known_customers

BRANCHES = ("place-0", "place-1", "place-2", "place-3")
ONLINE, VAN, PROBE = "place-online", "place-van", "place-probe"
MANY_LEFT = 40
OFFER_COUNT, OFFER_PRODUCTS = 60, 8
CAMPAIGN = "sold-out"
BOTH_KINDS = ("product", "coupon")

Body = dict[str, object]


@dataclass(frozen=True, slots=True)
class Shop:
    """Its customers, the products that it keeps in stock, and what of them is where at first."""

    customers: Sequence[Known]
    product_ids: Sequence[str]
    stock: Mapping[Cell, int]

    def truth(self) -> Truth:
        """What is true before the first change."""
        ways = {name: frozenset(way.value for way in store.ways) for name, store in _stores(_now()).items()}
        return Truth(ways, {cell: float(left) for cell, left in self.stock.items()})


@dataclass(frozen=True, slots=True)
class Question:
    """What is sent, and which ways were wanted; none: all."""

    body: bytes
    welcome: Sequence[str]
    has_coupons: bool


def open_shop(settings: Settings, redis_url: str, *, product_count: int, seed: int) -> Shop:
    """Opens it in the ledger of these settings, before any server runs."""
    customers, products = known_customers(settings), _most_bought(settings, product_count)
    chance, now = random.Random(seed), _now()
    stock = {(store_id, one): _left(chance) for store_id in (*BRANCHES, ONLINE, VAN) for one in products}
    stock |= {(PROBE, one): 0 for one in products[:3]}
    # Before all changes that come, whatever their place in the same second.
    at = now - timedelta(minutes=1)
    reports = [
        (*cell, StockReport("erp", f"first-{number}", at, None, quantity_milli=1000 * left))
        for number, (cell, left) in enumerate(stock.items())
    ]
    currency = currency_of(settings)
    with closing(open_ledger(settings.ledger_url)) as ledger:
        upgrade(ledger)
        ledger.write(lambda connection: put_stores(connection, list(_stores(now).values()), now=now))
        ledger.write(lambda connection: apply_stock(connection, reports, now=now))
        ledger.write(lambda connection: _open_campaign(connection, products, currency, now))
        projections = Projections(ledger, worker_client(redis_url), RedisKeys(settings.stream_partition_count))
        with closing(projections):
            projections.rebuild()
    return Shop(customers, products, stock)


def questions(shop: Shop, seed: int) -> Iterator[Question]:
    """Without end: half of them for products alone, half for both kinds, from every place and for every way."""
    chance = random.Random(seed)
    while True:
        known = chance.choice(shop.customers)
        welcome, context = _place(chance)
        has_coupons = chance.random() < 0.5
        body = {
            "customer_id": known.customer_id,
            "placement": "app_home",
            "size": 20,
            "kinds": BOTH_KINDS if has_coupons else ("product",),
            "exclude": [],
            "context": {"recent": known.product_ids[:2], **context},
        }
        yield Question(orjson.dumps(body), welcome, has_coupons)


def probe_question() -> Body:
    """For all that the probe's own store has."""
    context = {"store_id": PROBE, "fulfilment": ["in_store"]}
    kinds = {"kinds": BOTH_KINDS, "size": 20, "exclude": []}
    return {"customer_id": "probe", "placement": "app_home", "context": context, **kinds}


def _place(chance: random.Random) -> tuple[Sequence[str], Body]:
    """Which ways are wanted, and where the customer is."""
    branch, draw = chance.choice(BRANCHES), chance.random()
    if draw < 0.4:
        return (), {"store_id": branch}
    if draw < 0.6:
        return ("in_store",), {"store_id": branch, "fulfilment": ["in_store"]}
    if draw < 0.75:
        return ("pickup",), {"pickup_store_id": branch}
    if draw < 0.9:
        return (), {"position": {"latitude": 52.5 + chance.random() / 10, "longitude": 13.4}}
    return (), {}


def _stores(now: datetime) -> Mapping[str, Store]:
    """Four branches, the last one far away, a warehouse that ships and one that delivers, and the probe's own."""
    near = {Way.IN_STORE: Fulfilment(), Way.PICKUP: Fulfilment(lead_minutes=30)}
    found = [
        Store(name, position=Position(52.5 if number < 3 else 48.1, 13.4 + number / 100), ways=near)
        for number, name in enumerate(BRANCHES)
    ]
    starts_at = now + timedelta(days=1)
    slot = DeliverySlot("tomorrow", starts_at, starts_at + timedelta(hours=2), starts_at - timedelta(hours=6), left=100)
    van = Fulfilment(radius_km=30.0, slots=(slot,))
    found += [
        Store(ONLINE, ways={Way.SHIP: Fulfilment(lead_working_days=2)}),
        Store(VAN, position=Position(52.5, 13.4), ways={Way.DELIVER: van}),
        Store(PROBE, ways={Way.IN_STORE: Fulfilment()}),
    ]
    return {store.store_id: store for store in found}


def _left(chance: random.Random) -> int:
    """Nothing of a half, few of a quarter."""
    draw = chance.random()
    return 0 if draw < 0.5 else chance.randint(1, 5) if draw < 0.75 else chance.randint(6, MANY_LEFT)


def _most_bought(settings: Settings, count: int) -> list[str]:
    """Of what the live bundle may show."""
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    best = (-bundle.popularity).argsort(kind="stable")[:count].tolist()
    return [bundle.catalogue.product_ids[item] for item in best]


def _open_campaign(connection: Transaction, product_ids: Sequence[str], currency: str, now: datetime) -> None:
    """Coupons of few products each, which any customer may be shown; one for the probe's products."""
    begins_at = now - timedelta(days=1)
    terms = CampaignTerms(name=CAMPAIGN, currency=currency, budget_minor=10**9, starts_at=begins_at)
    create_campaign(connection, CAMPAIGN, terms, now=now)
    act_on_campaign(connection, CAMPAIGN, "schedule", now=now)
    for number in range(OFFER_COUNT):
        first = number * OFFER_PRODUCTS % max(len(product_ids) - OFFER_PRODUCTS, 1)
        selector = ProductSelector(product_ids=tuple(product_ids[first : first + OFFER_PRODUCTS]))
        offer = OfferTerms(
            name=f"1.00 off {number}",
            discount=Amount(type="amount", amount_minor=100),
            applies_to=(selector,),
            issue=ByDecision(by="decision"),
        )
        create_offer(connection, CAMPAIGN, f"{CAMPAIGN}-{number}", offer, now=now)


def _now() -> datetime:
    return datetime.now(UTC)
