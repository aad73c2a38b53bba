"""Quotes as plain documents: the same fields for a dry run, a reservation and a redemption."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain import JsonObject
from app.offers.terms.reasons import Refusal
from app.stores.sql.redemption.question import Quote, QuotedCoupon


def quote_document(quote: Quote) -> JsonObject:
    """Totals, each line with what it costs after coupons, the coupons applied and the coupons refused."""
    basket = quote.question.basket
    taken = {line.line_id: 0 for line in basket.lines}
    for applied in quote.applied:
        for share in applied.lines:
            taken[share.line_id] += share.discount_minor
    return {
        "currency": basket.currency,
        "basket_minor": basket.total_minor,
        "discount_minor": quote.discount_minor,
        "payable_minor": basket.total_minor - quote.discount_minor,
        "points": sum(applied.points for applied in quote.applied),
        "lines": [
            {
                "line_id": line.line_id,
                "product_id": line.product_id,
                "amount_minor": line.amount_minor,
                "discount_minor": taken[line.line_id],
                "payable_minor": line.amount_minor - taken[line.line_id],
            }
            for line in basket.lines
        ],
        "applied": [_applied(one) for one in quote.coupons if one.applied is not None],
        "refused": refused_documents(quote.coupons),
    }


def refused_documents(coupons: Sequence[QuotedCoupon]) -> list[JsonObject]:
    """The coupons that give nothing, each with its reason."""
    return [_named(one) | {"reason": reason_document(one.refusal)} for one in coupons if one.refusal is not None]


def reason_document(refusal: Refusal) -> Mapping[str, object]:
    """One reason: its code, words, what was required and what was there."""
    return {
        "code": refusal.code.value,
        "detail": refusal.detail,
        "required": refusal.required,
        "actual": refusal.actual,
        "pointer": refusal.pointer,
    }


def _applied(one: QuotedCoupon) -> dict[str, Any]:
    assert one.applied is not None
    applied = one.applied
    lines = [{"line_id": share.line_id, "discount_minor": share.discount_minor} for share in applied.lines]
    return _named(one) | {"discount_minor": applied.discount_minor, "points": applied.points, "lines": lines}


def _named(one: QuotedCoupon) -> dict[str, Any]:
    if one.coupon is None or one.offer is None:
        return {"code": one.typed, "coupon_id": None, "offer_id": None, "campaign_id": None, "name": None}
    return {
        "code": one.typed or one.coupon.shown_code,
        "coupon_id": one.coupon.coupon_id,
        "offer_id": one.offer.offer_id,
        "campaign_id": one.offer.campaign_id,
        "name": one.offer.terms.name,
    }


def bought_document(quote: Quote) -> JsonObject:
    """What a return needs of the purchase to look at the offers again: the customer's tier, and every line."""
    return {
        "tier": quote.tier,
        "lines": [
            {
                "line_id": line.line_id,
                "product_id": line.product_id,
                "quantity": line.quantity,
                "amount_minor": line.amount_minor,
                "attributes": {name: value for name, value in line.attributes.items() if name in quote.attributes},
                "returned_quantity": 0.0,
            }
            for line in quote.question.basket.lines
        ],
    }
