"""A decision's price guarantee: its prices and its coupons' terms hold until it expires, whatever changes meanwhile.

Only what was shown is guaranteed; budgets, limits and what was redeemed count as they are, and so does a campaign
that somebody paused or ended.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from app.api.state import Service
from app.errors import DecisionNotFound, StoreUnavailable
from app.stores.sql.redemption.question import PriceGuarantee


async def find_guarantee(
    service: Service, decision_id: str | None, *, store_id: str | None, now: datetime
) -> PriceGuarantee | None:
    """What this decision guarantees in this store, None: in none.

    None when the decision is unknown or has expired, or when Redis does not answer.
    """
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
    prices = [(one["product_id"], _shown_price(one, store_id)) for one in propositions]
    return PriceGuarantee(
        decided_at,
        revisions={coupon["offer_id"]: coupon["offer_revision"] for coupon in coupons},
        prices_minor={
            (product_id, price["currency"]): price["amount_minor"] for product_id, price in prices if price is not None
        },
    )


def _shown_price(proposition: Mapping[str, Any], store_id: str | None) -> Mapping[str, Any] | None:
    """The price in this store where an option is there, taken along or collected before sent; else the proposition's.

    None where neither says one.
    """
    here = [one["price"] for one in proposition.get("options") or () if one["store_id"] == store_id]
    return next((price for price in here if price is not None), proposition.get("price"))
