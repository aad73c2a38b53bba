"""A decision's price guarantee: its prices and its coupons' terms hold until it expires, whatever changes meanwhile.

Only what was shown is guaranteed; budgets, limits and what was redeemed count as they are, and so does a campaign
that somebody paused or ended.
"""

from datetime import datetime, timedelta

import orjson

from app.api.state import Service
from app.errors import DecisionNotFound, StoreUnavailable
from app.stores.sql.redemption.question import PriceGuarantee


async def find_guarantee(service: Service, decision_id: str | None, *, now: datetime) -> PriceGuarantee | None:
    """What this decision guarantees; None when it is unknown or has expired, or when Redis does not answer."""
    if decision_id is None:
        return None
    try:
        decision = orjson.loads(await service.decisions.find(decision_id))
    except (DecisionNotFound, StoreUnavailable):
        return None
    expires_at = datetime.fromisoformat(decision["expires_at"])
    if now >= expires_at:
        return None
    # answer_body() set expires_at just so long after the decision.
    decided_at = expires_at - timedelta(seconds=service.settings.decision_keep_s)
    propositions = decision["propositions"]
    coupons = [one["coupon"] for one in propositions if one.get("coupon") is not None]
    prices = [(one["product_id"], one["price"]) for one in propositions if one.get("price") is not None]
    return PriceGuarantee(
        decided_at,
        revisions={coupon["offer_id"]: coupon["offer_revision"] for coupon in coupons},
        prices_minor={(product_id, price["currency"]): price["amount_minor"] for product_id, price in prices},
    )
