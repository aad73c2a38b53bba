"""What a decision promised: its prices and the terms of its coupons hold until it expires, whatever changes meanwhile.

Only what was shown is kept by it; budgets, limits and what was redeemed count as they are, and so does a campaign
that somebody paused or ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from app.api.state import Service
from app.errors import DecisionNotFound, StoreUnavailable
from app.stores.sql.redemption.quote import Promise


@dataclass(frozen=True, slots=True)
class Promised:
    """A decision's terms for the ledger, and the prices that it showed; nothing where there is none.

    `prices_minor` by product id and currency.
    """

    promise: Promise | None = None
    prices_minor: Mapping[tuple[str, str], int] = field(default_factory=dict)


NOTHING_PROMISED = Promised()


async def promised_by(service: Service, decision_id: str | None, *, now: datetime) -> Promised:
    """What this decision promised; nothing when it is unknown or over, or when Redis does not say."""
    if decision_id is None:
        return NOTHING_PROMISED
    try:
        told = orjson.loads(await service.decisions.find(decision_id))
    except (DecisionNotFound, StoreUnavailable):
        return NOTHING_PROMISED
    expires_at = datetime.fromisoformat(told["expires_at"])
    if now >= expires_at:
        return NOTHING_PROMISED
    decided_at = expires_at - timedelta(seconds=service.settings.decision_keep_s)
    coupons = [one["coupon"] for one in told["propositions"] if one.get("coupon") is not None]
    prices = [(one["product_id"], one["price"]) for one in told["propositions"] if one.get("price") is not None]
    prices_minor = {(product_id, price["currency"]): price["amount_minor"] for product_id, price in prices}
    revisions = {coupon["offer_id"]: coupon["offer_revision"] for coupon in coupons}
    return Promised(Promise(decided_at, revisions), prices_minor)
