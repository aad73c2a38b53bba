"""Why a coupon or an offer is not used: a closed set of codes, each with what was required and what was there."""

from dataclasses import dataclass
from enum import StrEnum


class ReasonCode(StrEnum):
    """Public and stable; docs/coupon-rules.md has what each means and what helps."""

    COUPON_NOT_FOUND = "coupon_not_found"
    COUPON_EXPIRED = "coupon_expired"
    COUPON_NOT_YET_VALID = "coupon_not_yet_valid"
    COUPON_REVOKED = "coupon_revoked"
    OFFER_UNUSABLE = "offer_unusable"
    CAMPAIGN_NOT_RUNNING = "campaign_not_running"
    RECIPIENT_MISMATCH = "recipient_mismatch"
    ALREADY_REDEEMED = "already_redeemed"
    CODE_LIMIT_REACHED = "code_limit_reached"
    CUSTOMER_LIMIT_REACHED = "customer_limit_reached"
    CAMPAIGN_LIMIT_REACHED = "campaign_limit_reached"
    BUDGET_EXHAUSTED = "budget_exhausted"
    CURRENCY_MISMATCH = "currency_mismatch"
    MINIMUM_BASKET_NOT_MET = "minimum_basket_not_met"
    PRODUCTS_NOT_IN_BASKET = "products_not_in_basket"
    CHANNEL_NOT_ALLOWED = "channel_not_allowed"
    STORE_NOT_ALLOWED = "store_not_allowed"
    TIER_NOT_ALLOWED = "tier_not_allowed"
    CONDITION_NOT_MET = "condition_not_met"
    RESERVATION_REQUIRED = "reservation_required"
    RESERVATION_HELD_BY_OTHER = "reservation_held_by_other"
    NOT_COMBINABLE = "not_combinable"
    LOWER_DISCOUNT = "lower_discount"
    NO_EFFECT = "no_effect"
    PRICE_FLOOR = "price_floor"
    OUT_OF_STOCK = "out_of_stock"
    CAPPED = "capped"


ReasonValue = str | int | float | None
"""A value that a refusal compares: an amount in minor units, an instant as ISO 8601, a list joined by commas."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason; `pointer` leads into the offer's terms where a condition of theirs was not met."""

    code: ReasonCode
    detail: str
    required: ReasonValue = None
    actual: ReasonValue = None
    pointer: str | None = None
