"""The wire's schema of a coupon in a wallet: its state in the customer's words, what it promises, its pictures."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from app.domain import Channel
from app.offers.terms.codes import shown_code
from app.offers.terms.terms import Discount
from app.settings import Selected
from app.stores.sql.coupons.issuing import ShownStatus, shown_status
from app.stores.sql.coupons.staff_issuing import Held


class OfferSummary(BaseModel):
    """What a coupon promises, as its offer says now."""

    offer_id: str
    campaign_id: str
    name: str
    currency: str
    discount: Discount
    applies_to: list[Selected] = Field(description="Empty: the whole basket")
    minimum_basket_minor: int | None
    channels: list[Channel] = Field(description="Empty: any")
    store_ids: list[str] = Field(description="Empty: any")
    combinable: bool


class CouponImages(BaseModel):
    """Paths of pictures of the code; a barcode only where there is a GS1 coupon number."""

    qr_svg: str
    qr_png: str
    barcode_svg: str | None


class CouponAnswer(BaseModel):
    """One coupon. `valid_until` is the first instant at which it gives nothing any more; null: no end is set."""

    coupon_id: str
    code: str = Field(description="In groups of four, as people read it")
    customer_id: str | None = Field(description="Null: whoever has the code")
    status: ShownStatus
    valid_from: datetime | None
    valid_until: datetime | None
    issued_at: datetime
    uses: int
    max_uses: int | None = Field(description="Null: as often as limits allow")
    gs1: str | None = Field(description="The GS1 element string, (255)…")
    offer: OfferSummary
    images: CouponImages


class WalletAnswer(BaseModel):
    """A customer's coupons, latest issued first."""

    customer_id: str
    coupons: list[CouponAnswer]


class IssueAnswer(BaseModel):
    """How many coupons are new, and how many people of an audience had theirs before.

    `coupons` are those that are new, left out for an audience.
    """

    issued_count: int
    known_count: int
    coupons: list[CouponAnswer]


def coupon_document(one: Held, *, now: datetime) -> dict[str, Any]:
    """A coupon in the shape of CouponAnswer."""
    coupon, terms = one.coupon, one.offer.terms
    path = f"/v1/coupons/{coupon.coupon_id}"
    images = {"qr_svg": f"{path}/qr.svg", "qr_png": f"{path}/qr.png"}
    return {
        "coupon_id": coupon.coupon_id,
        "code": shown_code(coupon.code),
        "customer_id": coupon.customer_id,
        "status": shown_status(coupon, one.campaign, now=now),
        "valid_from": coupon.valid_from,
        "valid_until": one.ends_at,
        "issued_at": coupon.issued_at,
        "uses": coupon.uses,
        "max_uses": coupon.max_uses,
        "gs1": one.gs1,
        "offer": {
            "offer_id": one.offer.offer_id,
            "campaign_id": one.campaign.campaign_id,
            "name": terms.name,
            "currency": one.campaign.terms.currency,
            "discount": terms.discount.model_dump(mode="json"),
            "applies_to": [selected.model_dump(mode="json") for selected in terms.applies_to],
            "minimum_basket_minor": terms.minimum_basket_minor,
            "channels": terms.channels,
            "store_ids": terms.store_ids,
            "combinable": terms.combinable,
        },
        "images": images | {"barcode_svg": None if one.gs1 is None else f"{path}/barcode.svg"},
    }
