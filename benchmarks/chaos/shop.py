"""What customers and tills send while something fails: questions, events, orders, and the campaign behind the codes."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from uuid import uuid4

import httpx
import orjson

from app.model.bundle import current_version
from app.settings import Settings
from benchmarks.support.questions import Known, known_customers

DISCOUNT_MINOR = 101
"""Odd on purpose: over three lines it must be shared out to the cent."""
PRICES_MINOR = (333, 667, 1001)
WALLET_COUNT = 50
"""Customers with a coupon of their own, which a decision shows as long as it can read their wallet."""
WALLETS_TIMEOUT_S = 60.0

Body = dict[str, object]


@dataclass(frozen=True, slots=True)
class Shop:
    """A running campaign with a code that everybody has, and customers with a coupon in their wallets."""

    campaign_id: str
    currency: str
    code: str
    customers: Sequence[Known]
    owners: Sequence[str]


def open_shop(address: str, settings: Settings) -> Shop:
    """Makes the campaign through the API, and returns once decisions show the coupons."""
    run = uuid4().hex[:12]
    customers, currency = known_customers(settings), currency_of(settings)
    owners = sorted({known.customer_id for known in customers})[:WALLET_COUNT]
    off = {"discount": {"type": "amount", "amount_minor": DISCOUNT_MINOR}}
    # A clock that is set back must not come before the campaign's beginning.
    begun_at = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    terms = {"name": "Chaos", "currency": currency, "budget_minor": 10**9, "starts_at": begun_at}
    campaign = f"chaos-{run}"
    offers = f"/v1/campaigns/{campaign}/offers"
    coupons = f"/v1/campaigns/{campaign}/coupons"
    with httpx.Client(base_url=address, timeout=30) as client:
        _write(client, "/v1/campaigns", {"campaign_id": campaign, "terms": terms})
        shared = {"name": "shared", "uses_per_code": None, **off}
        _write(client, offers, {"offer_id": f"shared-{run}", "terms": shared})
        _write(client, offers, {"offer_id": f"own-{run}", "terms": {"name": "own", **off}})
        _write(client, f"/v1/campaigns/{campaign}/schedule", None)
        _write(client, coupons, {"offer_id": f"shared-{run}", "code": f"CHAOS-{run}"})
        _write(client, coupons, {"offer_id": f"own-{run}", "customer_ids": owners})
        _wait_for_wallets(client, owners)
    return Shop(campaign, currency, f"CHAOS-{run}", customers, owners)


def currency_of(settings: Settings) -> str:
    """What the live bundle's prices are in: coupons in another are worth nothing on its products."""
    described = settings.bundles_dir / current_version(settings.bundles_dir) / "catalogue.json"
    return orjson.loads(described.read_bytes())["currency"] or settings.currency


def _write(client: httpx.Client, path: str, body: Body | None) -> None:
    answer = client.post(path, json=body, headers={"Idempotency-Key": uuid4().hex})
    if answer.status_code not in (200, 201):
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")


def _wait_for_wallets(client: httpx.Client, owners: Sequence[str]) -> None:
    deadline = monotonic() + WALLETS_TIMEOUT_S
    while monotonic() < deadline:
        answers = [client.post("/v1/decisions", json=wallet_question(owner)).json() for owner in owners]
        if all(answer["propositions"] and "coupons_unknown" not in answer["degraded"] for answer in answers):
            return
        sleep(0.2)
    raise RuntimeError(f"wallets are not shown after {WALLETS_TIMEOUT_S:.0f} s: {answers[0]}")


def wallet_question(customer_id: str) -> Body:
    """For coupons alone: an answer without any was made without the wallet."""
    return {"customer_id": customer_id, "placement": "app_home", "kinds": ["coupon"], "size": 3}


def question_about(anonymous_id: str) -> Body:
    """For a visitor, with the reasons: the answer names the last event that it knows of."""
    return {"anonymous_id": anonymous_id, "placement": "web_home", "explain": True}


def event_of(anonymous_id: str, product_id: str) -> Body:
    """A view that happens now."""
    now = datetime.now(UTC).isoformat()
    named = {"anonymous_id": anonymous_id, "product_id": product_id, "channel": "web"}
    return {"id": uuid4().hex, "type": "view_item", "time": now, **named}


def order_of(shop: Shop, chance: random.Random, *, key: str) -> bytes:
    """A paid basket of three lines with the code that everybody has."""
    products = chance.choice(shop.customers).product_ids
    lines = [
        {
            "line_id": str(position),
            "product_id": chance.choice(products),
            "quantity": 1,
            "unit_price_minor": price_minor,
        }
        for position, price_minor in enumerate(PRICES_MINOR)
    ]
    till = {"order_id": key, "codes": [shop.code], "channel": "store", "currency": shop.currency}
    return orjson.dumps({**till, "customer_id": f"payer-{key}", "lines": lines})
