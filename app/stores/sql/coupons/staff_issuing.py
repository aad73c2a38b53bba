"""Coupons with their offers, as wallets show them; issued and revoked by the retailer's staff."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.errors import Conflict, Missing
from app.offers.terms.gs1 import element_string
from app.offers.terms.records import Campaign, Coupon, CouponStatus, Offer
from app.offers.terms.time_zones import local_date
from app.stores.sql.campaigns.campaigns import find_campaign, find_offer, find_offers
from app.stores.sql.coupons.audience_issuing import check_active, check_not_over, offer_in
from app.stores.sql.coupons.issuing import coupons_of, find_coupon, issue, revoke
from app.stores.sql.customers.groups import customer_ids_joined, customer_named

BY_STAFF = "staff"
_MOMENT = timedelta(microseconds=1)


class CouponNotFound(Missing):
    """No coupon has this id."""

    code = "coupon_not_found"


class NotRevocable(Conflict):
    """The coupon has been used, or is reserved just now."""

    code = "not_revocable"


@dataclass(frozen=True, slots=True)
class IssuedCoupon:
    """A coupon with its offer and campaign as they are now."""

    coupon: Coupon
    offer: Offer
    campaign: Campaign

    @property
    def ends_at(self) -> datetime | None:
        """The instant from which it gives nothing any more: coupon, offer or campaign, whichever ends first."""
        ends = (self.coupon.valid_until, self.offer.terms.valid_until, self.campaign.terms.ends_at)
        return min((end for end in ends if end is not None), default=None)

    @property
    def gs1(self) -> str | None:
        """Its GS1 element string, as (255)…; None where its offer had no coupon number at the issue."""
        coupon = self.coupon
        if coupon.gcn is None or coupon.serial is None:
            return None
        # What ends at midnight is good on no moment of the day that begins then.
        last_at = None if coupon.valid_until is None else coupon.valid_until - _MOMENT
        last_on = None if last_at is None else local_date(last_at, self.campaign.terms.time_zone)
        return element_string(coupon.gcn, coupon.serial, expires_on=last_on)


def wallet_of(connection: Connection, customer_id: str) -> list[IssuedCoupon]:
    """All coupons that the customer ever had under any name, latest first; without those that nobody can compute."""
    coupons = coupons_of(connection, customer_ids_joined(connection, customer_id), open_only=False)
    offers = find_offers(connection, [coupon.offer_id for coupon in coupons])
    campaign_ids = sorted({coupon.campaign_id for coupon in coupons})
    campaigns = {campaign_id: find_campaign(connection, campaign_id) for campaign_id in campaign_ids}
    return [
        IssuedCoupon(coupon, offers[coupon.offer_id], campaigns[coupon.campaign_id])
        for coupon in coupons
        if offers[coupon.offer_id].fault is None
    ]


def find_issued(connection: Connection, coupon_id: str) -> IssuedCoupon:
    """One coupon; raises CouponNotFound."""
    coupon = find_coupon(connection, coupon_id)
    if coupon is None:
        raise CouponNotFound(f"no coupon {coupon_id!r}")
    return with_terms(connection, coupon)


def with_terms(connection: Connection, coupon: Coupon) -> IssuedCoupon:
    """The coupon with its offer and campaign."""
    return IssuedCoupon(coupon, find_offer(connection, coupon.offer_id), find_campaign(connection, coupon.campaign_id))


def issue_by_staff(
    connection: Connection,
    campaign_id: str,
    offer_id: str,
    customer_ids: Sequence[str | None],
    *,
    code: str | None = None,
    now: datetime,
) -> list[IssuedCoupon]:
    """New coupons of one offer, however else it is issued; with `code` one that whoever knows the code may use.

    Raises CampaignNotFound, OfferNotFound, NotIssuable, BadInput for what is no code, and CodeTaken.
    """
    campaign, offer = find_campaign(connection, campaign_id), offer_in(connection, campaign_id, offer_id)
    check_active(offer)
    check_not_over(campaign, now)
    named = [None if one is None else customer_named(connection, one) for one in customer_ids]
    coupons = issue(connection, offer, campaign, named, issued_by=BY_STAFF, code=code, now=now)
    return [IssuedCoupon(coupon, offer, campaign) for coupon in coupons]


def revoke_by_staff(connection: Connection, coupon_id: str, *, now: datetime) -> IssuedCoupon:
    """The coupon, revoked for good, which is safe to repeat. Raises CouponNotFound and NotRevocable."""
    revoke(connection, coupon_id, now=now)
    issued = find_issued(connection, coupon_id)
    if issued.coupon.status is not CouponStatus.REVOKED:
        raise NotRevocable(
            f"coupon {coupon_id!r} is {issued.coupon.status}, used {issued.coupon.uses} times, reserved"
            f" {issued.coupon.holds} times; only one that is neither used nor reserved can be revoked"
        )
    return issued
