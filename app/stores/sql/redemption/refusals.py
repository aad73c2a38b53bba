"""Why a coupon cannot be used now, whatever is in the basket: status, validity, campaign, currency, reservation."""

from collections.abc import Collection
from datetime import datetime

from app.offers.terms.reasons import ReasonCode, Refusal
from app.offers.terms.records import Campaign, Coupon, CouponStatus
from app.offers.terms.status import CampaignStatus
from app.offers.terms.stored import UnusableTerms
from app.offers.terms.terms import OfferTerms
from app.stores.sql.redemption.freed import FreedUses
from app.stores.sql.redemption.question import Question

NOT_FOUND = Refusal(ReasonCode.COUPON_NOT_FOUND, "no such coupon; check the code")


def refusal_of_recipient(coupon: Coupon, customer_ids: Collection[str], question: Question) -> Refusal | None:
    """Why somebody of these names cannot have this coupon, whatever its state; None when it is theirs or anybody's."""
    if coupon.customer_id is None or coupon.customer_id in customer_ids:
        return None
    if not question.reveals_recipients:
        return NOT_FOUND
    return Refusal(ReasonCode.RECIPIENT_MISMATCH, "the coupon was issued to another customer")


def refusal_of_coupon(
    coupon: Coupon, terms: OfferTerms, campaign: Campaign, question: Question, freed: FreedUses, *, as_of: datetime
) -> Refusal | None:
    """Why this coupon cannot be used now whatever is in the basket; None when it can."""
    if coupon.coupon_id in freed.reserved:
        # A promise until the reservation is over, whatever became of coupon, campaign and limits.
        return _unusable(terms) or _in_other_currency(campaign, question)
    return (
        _used_up(coupon, freed)
        or _unusable(terms)
        or _outside_validity(coupon, terms, as_of)
        or _not_running(campaign, as_of)
        or _in_other_currency(campaign, question)
        or _without_customer(campaign, question)
        or _unreserved(terms, question)
    )


def _used_up(coupon: Coupon, freed: FreedUses) -> Refusal | None:
    if coupon.status is CouponStatus.REVOKED:
        return Refusal(ReasonCode.COUPON_REVOKED, "the coupon was withdrawn")
    if coupon.status is CouponStatus.EXPIRED:
        return Refusal(ReasonCode.COUPON_EXPIRED, "the coupon has expired", actual=_iso(coupon.valid_until))
    holds = coupon.holds - freed.holds.get(coupon.coupon_id, 0)
    if coupon.max_uses is None or coupon.uses + holds < coupon.max_uses:
        return None
    if coupon.uses < coupon.max_uses:
        return Refusal(ReasonCode.RESERVATION_HELD_BY_OTHER, "the coupon is reserved for another order; try later")
    if coupon.max_uses == 1:
        return Refusal(ReasonCode.ALREADY_REDEEMED, "the coupon has been redeemed", required=1, actual=1)
    return Refusal(
        ReasonCode.CODE_LIMIT_REACHED, "the code has been used up", required=coupon.max_uses, actual=coupon.uses
    )


def _unusable(terms: OfferTerms) -> Refusal | None:
    if not isinstance(terms, UnusableTerms):
        return None
    return Refusal(ReasonCode.OFFER_UNUSABLE, f"the offer cannot be computed ({terms.fault}); change its terms")


def _outside_validity(coupon: Coupon, terms: OfferTerms, as_of: datetime) -> Refusal | None:
    for start in (coupon.valid_from, terms.valid_from):
        if start is not None and as_of < start:
            return Refusal(ReasonCode.COUPON_NOT_YET_VALID, f"valid from {_iso(start)}", _iso(start), _iso(as_of))
    for end in (coupon.valid_until, terms.valid_until):
        if end is not None and as_of >= end:
            return Refusal(ReasonCode.COUPON_EXPIRED, f"valid until {_iso(end)}", _iso(end), _iso(as_of))
    return None


def _not_running(campaign: Campaign, as_of: datetime) -> Refusal | None:
    status = campaign.status_at(as_of)
    if status is CampaignStatus.RUNNING:
        return None
    return Refusal(
        ReasonCode.CAMPAIGN_NOT_RUNNING, f"the campaign is {status}", CampaignStatus.RUNNING.value, status.value
    )


def _in_other_currency(campaign: Campaign, question: Question) -> Refusal | None:
    if campaign.terms.currency == question.basket.currency:
        return None
    return Refusal(
        ReasonCode.CURRENCY_MISMATCH,
        f"the offer is in {campaign.terms.currency}, the basket in {question.basket.currency}",
        campaign.terms.currency,
        question.basket.currency,
    )


def _without_customer(campaign: Campaign, question: Question) -> Refusal | None:
    per_customer = any(limit.scope == "customer" for limit in campaign.terms.limits)
    if per_customer and question.situation.customer_id is None:
        return Refusal(
            ReasonCode.CUSTOMER_LIMIT_REACHED, "the campaign counts per customer; give customer_id", "customer_id"
        )
    return None


def _unreserved(terms: OfferTerms, question: Question) -> Refusal | None:
    if not terms.reservation_required or question.is_to_reserve:
        return None
    return Refusal(ReasonCode.RESERVATION_REQUIRED, "make a reservation first and redeem with its reservation_id")


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
