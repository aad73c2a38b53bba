"""The wire's schema of a coupon in a wallet: its state in the customer's words, its offer, its pictures."""

from datetime import datetime

from pydantic import BaseModel, Field

from app.api.fields import CUSTOMER_ID, CurrencyAnswer
from app.domain import Channel
from app.offers.terms.terms import Discount
from app.settings import ProductSelector
from app.stores.sql.coupons.issuing import ShownStatus, shown_status
from app.stores.sql.coupons.staff_issuing import IssuedCoupon


class OfferSummary(BaseModel):
    """What a coupon promises, as its offer says now."""

    offer_id: str = Field(description="The offer")
    campaign_id: str = Field(description="Its campaign")
    name: str = Field(description="What people call the offer")
    currency: CurrencyAnswer
    discount: Discount = Field(description="What it gives (docs/coupon-rules.md#discounts)")
    applies_to: list[ProductSelector] = Field(description="Products that it applies to. Empty: the whole basket")
    minimum_basket_minor: int | None = Field(
        description="What the whole basket costs at least, in minor units; null: any basket"
    )
    channels: list[Channel] = Field(description="Where it can be used. Empty: everywhere")
    store_ids: list[str] = Field(description="Stores where it can be used. Empty: all, and outside of stores")
    combinable: bool = Field(description="True where it may be used together with others")


class CouponImages(BaseModel):
    """Pictures of the code."""

    qr_svg: str = Field(description="Path of the QR code as SVG")
    qr_png: str = Field(description="Path of the QR code as PNG")
    barcode_svg: str | None = Field(description="Path of the GS1 DataBar as SVG; null without a GS1 coupon number")


class CouponAnswer(BaseModel):
    """One coupon."""

    coupon_id: str = Field(description="The coupon")
    code: str = Field(description="As people read it: a chosen code as it was written, a random one in groups of four")
    customer_id: str | None = Field(description="Whose it is; null: whoever has the code")
    status: ShownStatus = Field(description="What the wallet calls it at this moment")
    valid_from: datetime | None = Field(description="First instant at which it is valid; null: from the start")
    valid_until: datetime | None = Field(description="First instant at which it is no longer valid; null: no end")
    issued_at: datetime = Field(description="When it was issued")
    uses: int = Field(description="How often it was redeemed")
    max_uses: int | None = Field(description="How often it can be redeemed; null: as often as limits allow")
    gs1: str | None = Field(description="The GS1 element string, (255)…; null without a GS1 coupon number")
    offer: OfferSummary = Field(description="What it promises")
    images: CouponImages = Field(description="Pictures of the code")


class WalletAnswer(BaseModel):
    """A customer's coupons."""

    customer_id: str = Field(description=CUSTOMER_ID)
    coupons: list[CouponAnswer] = Field(description="Latest issued first, those that have ended among them")


class IssueAnswer(BaseModel):
    """What was issued."""

    issued_count: int = Field(description="How many coupons are new")
    known_count: int = Field(description="How many customers of an audience had theirs before")
    coupons: list[CouponAnswer] = Field(description="The new coupons; empty for an audience")


def coupon_document(one: IssuedCoupon, *, now: datetime) -> dict[str, object]:
    """A coupon in the shape of CouponAnswer."""
    coupon, terms = one.coupon, one.offer.terms
    path = f"/v1/coupons/{coupon.coupon_id}"
    images = {"qr_svg": f"{path}/qr.svg", "qr_png": f"{path}/qr.png"}
    return {
        "coupon_id": coupon.coupon_id,
        "code": coupon.shown_code,
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
