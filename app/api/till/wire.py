"""The wire's schemas of the till: baskets with coupons, and what the coupons give on them."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict, JsonValue

from app.api.documents import RequestModel
from app.api.fields import (
    CUSTOMER_ID,
    PRODUCT_ID,
    ChannelField,
    CurrencyAnswer,
    CurrencyCode,
    DecisionId,
    ProductIdText,
    StoreId,
)
from app.api.problems import Problem
from app.bounds import Id
from app.ingest.schema import QUANTITY
from app.offers.terms.money import MAX_MINOR
from app.offers.terms.reasons import ReasonCode
from app.offers.terms.time_zones import PlannedInstant

MAX_LINES = 500
MAX_CODES = 20
MAX_TTL_S = 86_400

AmountMinor = Annotated[int, Field(ge=0, le=MAX_MINOR)]
Quantity = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
# PostgreSQL takes no NUL in text.
TypedCode = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]
AttributeText = Annotated[str, StringConstraints(min_length=1, max_length=256)]

_LINES: list[JsonValue] = [
    {"line_id": "1", "product_id": "1082185", "quantity": 2, "unit_price_minor": 400},
    {"line_id": "2", "product_id": "995242", "amount_minor": 400},
]
_CHECKOUT: JsonDict = {"customer_id": "900", "channel": "store", "store_id": "330", "wallet": True, "lines": _LINES}
"""What the examples of the till buy."""


class LineRequest(RequestModel):
    """One line of the basket: what a piece costs, or the whole line; before coupons.

    It costs no more than the decision of `decision_id` showed, and just that where no price is sent. Without either it
    costs what a piece costs in the store now.
    """

    line_id: Id | None = Field(default=None, description="Names the line in answers. Default: its number, from 1")
    product_id: ProductIdText
    quantity: Quantity = Field(default=1.0, description=QUANTITY)
    unit_price_minor: AmountMinor | None = Field(
        default=None,
        description="What one piece costs before coupons, in minor units; else `amount_minor`."
        " Default: what the decision showed, else the store's price now",
    )
    amount_minor: AmountMinor | None = Field(
        default=None, description="What the line costs before coupons, in minor units; else `unit_price_minor`"
    )
    attributes: dict[AttributeText, AttributeText] = Field(
        default_factory=dict,
        max_length=50,
        description="The product's columns, such as category or brand; the catalogue's own values win",
    )

    @model_validator(mode="after")
    def _costs_one_thing(self) -> Self:
        if self.unit_price_minor is not None and self.amount_minor is not None:
            raise ValueError("give unit_price_minor or amount_minor, not both")
        return self


class BasketRequest(RequestModel):
    """A basket, who buys it, and where."""

    customer_id: Id | None = Field(default=None, description=CUSTOMER_ID)
    codes: list[TypedCode] = Field(
        default_factory=list,
        max_length=MAX_CODES,
        description="Codes as typed or scanned, GS1 element strings too",
    )
    channel: ChannelField = None
    store_id: StoreId = None
    currency: CurrencyCode | None = Field(
        default=None, description="Currency of all amounts here, ISO 4217. Default: ENDCAP_CURRENCY"
    )
    lines: list[LineRequest] = Field(min_length=1, max_length=MAX_LINES, description="What is in the basket")


class QualificationRequest(BasketRequest):
    """What could this customer use on this basket, and what is missing for the rest?"""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_id": "900", "channel": "store", "store_id": "330", "lines": _LINES}]}
    )


class CouponsRequest(BasketRequest):
    """Which coupons: those typed or scanned, with `wallet` all that the customer has, or what a reservation holds."""

    wallet: bool = Field(default=False, description="Use the best of the customer's own coupons by itself")
    decision_id: DecisionId = None


class ValidationRequest(CouponsRequest):
    """What would these coupons give?"""

    model_config = ConfigDict(json_schema_extra={"examples": [_CHECKOUT]})

    reservation_id: Id | None = Field(default=None, description="Use what this reservation holds")
    now: PlannedInstant | None = Field(
        default=None, description="Only with dry_run: answer as of this instant, ISO 8601 with an offset"
    )


class ReservationRequest(CouponsRequest):
    """Hold what these coupons give for an order, until it is paid or the time is over."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"order_id": "order-17", **_CHECKOUT}]})

    order_id: Id | None = Field(default=None, description="The order that it is held for")
    ttl_s: int = Field(default=900, ge=1, le=MAX_TTL_S, description="Seconds after which it is free again")


class RedemptionRequest(CouponsRequest):
    """Redeem for an order."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"order_id": "order-17", **_CHECKOUT}]})

    order_id: Id = Field(description="The order, by the shop's own id")
    reservation_id: Id | None = Field(default=None, description="Redeem what this reservation holds")
    expected_discount_minor: AmountMinor | None = Field(
        default=None, description="Redeem exactly this discount in minor units, else nothing. Default: whatever it is"
    )


class ReturnedLine(RequestModel):
    """A line that comes back."""

    line_id: Id = Field(description="The line, as the redemption names it")
    quantity: Quantity | None = Field(
        default=None, description="How much of it comes back, in its unit of sale. Default: all that is left"
    )


class RollbackRequest(RequestModel):
    """What comes back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lines": [{"line_id": "1", "quantity": 1}]}, {}]})

    lines: list[ReturnedLine] | None = Field(
        default=None, min_length=1, max_length=MAX_LINES, description="Default: everything"
    )


class ReasonOfRefusal(BaseModel):
    """Why a coupon gives nothing."""

    code: ReasonCode = Field(description="Which reason: stable, for programs (docs/coupon-rules.md#reasons)")
    detail: str = Field(description="The reason in words")
    required: str | int | float | None = Field(
        description="What would be needed: minor units, a count, an instant in ISO 8601, or a list with commas"
    )
    actual: str | int | float | None = Field(description="What there is instead, in the same unit")
    pointer: str | None = Field(description="JSON Pointer into the offer's terms to the condition that is not met")


class NamedCoupon(BaseModel):
    """Which coupon; of a code that is not known just the code."""

    code: str = Field(description="The coupon's code; of an unknown one as it was sent")
    coupon_id: str | None = Field(description="The coupon; null where the code is unknown")
    offer_id: str | None = Field(description="Its offer")
    campaign_id: str | None = Field(description="Its campaign")
    name: str | None = Field(description="The offer's name")


class RefusedCoupon(NamedCoupon):
    """A coupon that gives nothing here."""

    reason: ReasonOfRefusal = Field(description="Why it gives nothing")


class LineDiscount(BaseModel):
    """What one coupon takes off one line."""

    line_id: str = Field(description="The line")
    discount_minor: int = Field(description="Off this line, in minor units")


class AppliedCoupon(NamedCoupon):
    """A coupon of the best combination."""

    discount_minor: int = Field(description="What it takes off the basket, in minor units")
    points: int = Field(description="Loyalty points that it gives")
    lines: list[LineDiscount] = Field(description="What it takes off each line")


class PricedLine(BaseModel):
    """A line before and after all coupons."""

    line_id: str = Field(description="The line")
    product_id: str = Field(description=PRODUCT_ID)
    amount_minor: int = Field(description="What it costs before coupons, in minor units")
    discount_minor: int = Field(description="What all coupons take off it, in minor units")
    payable_minor: int = Field(description="What is left to pay, in minor units")


class QuoteAnswer(BaseModel):
    """What the best combination gives, to the cent on every line, and why other coupons give nothing."""

    currency: CurrencyAnswer
    basket_minor: int = Field(description="What the basket costs before coupons, in minor units")
    discount_minor: int = Field(description="What all coupons take off, in minor units")
    payable_minor: int = Field(description="What is left to pay, in minor units")
    points: int = Field(description="Loyalty points that all coupons give")
    lines: list[PricedLine] = Field(description="Each line of the basket, in its order")
    applied: list[AppliedCoupon] = Field(description="The coupons of the best combination")
    refused: list[RefusedCoupon] = Field(description="The coupons that give nothing, each with its reason")


class NearCoupon(NamedCoupon):
    """A coupon that the basket is too small for."""

    missing_minor: int = Field(description="What is missing from the basket, in minor units")


class QualificationAnswer(QuoteAnswer):
    """The quote, and how much is missing from the basket where nothing else prevents a coupon."""

    near: list[NearCoupon] = Field(description="Coupons that only need a larger basket")


class ValidationAnswer(QuoteAnswer):
    """The quote, and whether it can be had."""

    is_redeemable: bool = Field(description="True when a redemption of the same now would give it")


class ReservationAnswer(QuoteAnswer):
    """A quote that is held."""

    reservation_id: str = Field(description="Names the reservation in redemptions")
    expires_at: datetime = Field(description="First instant at which it is free again")


class ReservationState(ReservationAnswer):
    """A reservation as it was answered, and what became of it."""

    status: Literal["held", "redeemed", "released", "expired"] = Field(description="What became of it")


class RedemptionAnswer(QuoteAnswer):
    """A quote that is redeemed."""

    redemption_id: str = Field(description="Names the redemption in rollbacks")
    status: Literal["redeemed"] = Field(description="Always `redeemed`")
    order_id: str = Field(description="The order")
    redeemed_at: datetime = Field(description="When it was redeemed")


class RedeemedLine(BaseModel):
    """What one coupon gave on one line, and how much of the line came back."""

    line_id: str = Field(description="The line")
    product_id: str = Field(description=PRODUCT_ID)
    quantity: float = Field(description=QUANTITY)
    returned_quantity: float = Field(description="How much of it came back, in the same unit")
    discount_minor: int = Field(description="What the coupon took off this line, in minor units")
    points: int = Field(description="Loyalty points that the coupon gave for this line")


class RedeemedCoupon(BaseModel):
    """One coupon of a redemption."""

    coupon_id: str = Field(description="The coupon")
    offer_id: str = Field(description="Its offer")
    offer_revision: int = Field(description="The offer's revision that was redeemed, from 1")
    campaign_id: str = Field(description="Its campaign")
    discount_minor: int = Field(description="What it took off, in minor units")
    points: int = Field(description="Loyalty points that it gave")
    lines: list[RedeemedLine] = Field(description="What it gave on each line")


RedemptionStatus = Annotated[
    Literal["redeemed", "partly_returned", "rolled_back"],
    Field(description="Whether anything came back: nothing, a part, or all"),
]


class RedemptionState(BaseModel):
    """A redemption as it stands."""

    redemption_id: str = Field(description="The redemption")
    status: RedemptionStatus
    order_id: str = Field(description="The order that it was redeemed for")
    customer_id: str | None = Field(description="The customer; null where none was named")
    channel: str | None = Field(description="Where it was redeemed; null where not known")
    store_id: str | None = Field(description="The store; null outside of stores or where not known")
    currency: CurrencyAnswer
    basket_minor: int = Field(description="What the basket cost before coupons, in minor units")
    discount_minor: int = Field(description="What the coupons took off, in minor units")
    returned_minor: int = Field(description="How much of the discount came back, in minor units")
    decision_id: str | None = Field(description="The decision that showed it, if one did")
    redeemed_at: datetime = Field(description="When it was redeemed")
    coupons: list[RedeemedCoupon] = Field(description="What each coupon gave")


class RolledBackLine(BaseModel):
    """What came back of one line."""

    line_id: str = Field(description="The line")
    quantity: float = Field(
        description="How much of it came back this time, in its unit of sale; 0 where only discount of it goes"
    )
    discount_minor: int = Field(description="Discount that came back with it, in minor units")
    points: int = Field(description="Loyalty points that were taken back with it")


class RollbackAnswer(BaseModel):
    """What came back this time."""

    rollback_id: str | None = Field(description="Names this return; null where all was back already")
    redemption_id: str = Field(description="The redemption")
    status: RedemptionStatus
    returned_minor: int = Field(description="Discount that came back this time, in minor units")
    refund_minor: int | None = Field(
        description="What the customer gets back: what the goods cost less that discount, in minor units;"
        " null where the redemption was imported"
    )
    discount_left_minor: int = Field(description="Discount that has not come back, in minor units")
    lines: list[RolledBackLine] = Field(description="What came back of each line")


class RefusedProblem(Problem):
    """An error with every coupon that gives nothing, each with its reason."""

    refused: list[RefusedCoupon] = Field(
        default_factory=list, description="Left out where the error is about no coupon"
    )
