"""The wire's schemas of the till: baskets that coupons are asked for, and what coupons give on them."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from app.api.documents import RequestModel
from app.api.problems import Problem
from app.domain import Channel
from app.ingest.schema import Id
from app.offers.terms.money import MAX_MINOR
from app.offers.terms.reasons import ReasonCode
from app.offers.terms.time_zones import PlannedInstant

MAX_LINES = 500
MAX_CODES = 20
MAX_TTL_S = 86_400

AmountMinor = Annotated[int, Field(ge=0, le=MAX_MINOR)]
Quantity = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
TypedCode = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]
AttributeText = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class LineRequest(RequestModel):
    """One line of the basket: what a piece costs, or the whole line; before coupons.

    It costs no more than the decision of `decision_id` showed, and just that where no price is sent. `attributes` are
    the product's columns as category or brand; where the catalogue has one, that counts.
    """

    line_id: Id | None = Field(default=None, description="Default: the line's number, from 1")
    product_id: Id
    quantity: Quantity = 1.0
    unit_price_minor: AmountMinor | None = None
    amount_minor: AmountMinor | None = None
    attributes: dict[AttributeText, AttributeText] = Field(default_factory=dict, max_length=50)

    @model_validator(mode="after")
    def _costs_one_thing(self) -> Self:
        if self.unit_price_minor is not None and self.amount_minor is not None:
            raise ValueError("give unit_price_minor or amount_minor, not both")
        return self


class BasketRequest(RequestModel):
    """A basket, who buys it, and where."""

    customer_id: Id | None = None
    codes: list[TypedCode] = Field(default_factory=list, max_length=MAX_CODES)
    channel: Channel | None = None
    store_id: Id | None = None
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] | None = Field(
        default=None, description="Default: ENDCAP_CURRENCY"
    )
    lines: list[LineRequest] = Field(min_length=1, max_length=MAX_LINES)


class QualificationRequest(BasketRequest):
    """What could this customer use on this basket, and what is missing for the rest?"""


class CouponsRequest(BasketRequest):
    """Which coupons: those typed or scanned, with `wallet` all that the customer has, or what a reservation holds."""

    wallet: bool = Field(default=False, description="Use the best of the customer's own coupons by itself")
    decision_id: Id | None = None


class ValidationRequest(CouponsRequest):
    """What would these coupons give? `now`, only with dry_run, asks about another time."""

    reservation_id: Id | None = None
    now: PlannedInstant | None = None


class ReservationRequest(CouponsRequest):
    """Hold what these coupons give for an order, until it is paid or `ttl_s` are over."""

    order_id: Id | None = None
    ttl_s: int = Field(default=900, ge=1, le=MAX_TTL_S)


class RedemptionRequest(CouponsRequest):
    """Redeem for an order; with `expected_discount_minor` only exactly that discount, else nothing."""

    order_id: Id
    reservation_id: Id | None = None
    expected_discount_minor: AmountMinor | None = None


class ReturnedLine(RequestModel):
    """A line that comes back: so many pieces, null = all that are left of it."""

    line_id: Id
    quantity: Quantity | None = None


class RollbackRequest(RequestModel):
    """What comes back; without `lines` everything."""

    lines: list[ReturnedLine] | None = Field(default=None, min_length=1, max_length=MAX_LINES)


class ReasonOfRefusal(BaseModel):
    """Why a coupon gives nothing; `pointer` leads into the offer's terms."""

    code: ReasonCode
    detail: str
    required: str | int | float | None
    actual: str | int | float | None
    pointer: str | None


class NamedCoupon(BaseModel):
    """Which coupon; of a code that is not known just the code."""

    code: str
    coupon_id: str | None
    offer_id: str | None
    campaign_id: str | None
    name: str | None


class RefusedCoupon(NamedCoupon):
    """A coupon that gives nothing here, with its reason."""

    reason: ReasonOfRefusal


class LineDiscount(BaseModel):
    """What one coupon takes off one line."""

    line_id: str
    discount_minor: int


class AppliedCoupon(NamedCoupon):
    """A coupon of the best combination."""

    discount_minor: int
    points: int
    lines: list[LineDiscount]


class PricedLine(BaseModel):
    """A line before and after all coupons."""

    line_id: str
    product_id: str
    amount_minor: int
    discount_minor: int
    payable_minor: int


class QuoteAnswer(BaseModel):
    """What the best combination gives, to the cent on every line, and why other coupons give nothing."""

    currency: str
    basket_minor: int
    discount_minor: int
    payable_minor: int
    points: int
    lines: list[PricedLine]
    applied: list[AppliedCoupon]
    refused: list[RefusedCoupon]


class NearCoupon(NamedCoupon):
    """A coupon that the basket is too small for."""

    missing_minor: int


class QualificationAnswer(QuoteAnswer):
    """The quote, and in `near` how much is missing from the basket where only that speaks against a coupon."""

    near: list[NearCoupon]


class ValidationAnswer(QuoteAnswer):
    """The quote; `is_redeemable` when a redemption of the same now would give it."""

    is_redeemable: bool


class ReservationAnswer(QuoteAnswer):
    """A quote that is held until `expires_at`."""

    reservation_id: str
    expires_at: datetime


class ReservationState(ReservationAnswer):
    """A reservation as it was answered, and what became of it."""

    status: Literal["held", "redeemed", "released", "expired"]


class RedemptionAnswer(QuoteAnswer):
    """A quote that is redeemed."""

    redemption_id: str
    status: Literal["redeemed"]
    order_id: str
    redeemed_at: datetime


class RedeemedLine(BaseModel):
    """What one coupon gave on one line, and how much of the line came back."""

    line_id: str
    product_id: str
    quantity: float
    returned_quantity: float
    discount_minor: int
    points: int


class RedeemedCoupon(BaseModel):
    """One coupon of a redemption."""

    coupon_id: str
    offer_id: str
    offer_revision: int
    campaign_id: str
    discount_minor: int
    points: int
    lines: list[RedeemedLine]


RedemptionStatus = Literal["redeemed", "partly_returned", "rolled_back"]


class RedemptionState(BaseModel):
    """A redemption as it stands."""

    redemption_id: str
    status: RedemptionStatus
    order_id: str
    customer_id: str | None
    channel: str | None
    store_id: str | None
    currency: str
    basket_minor: int
    discount_minor: int
    returned_minor: int
    decision_id: str | None
    redeemed_at: datetime
    coupons: list[RedeemedCoupon]


class RolledBackLine(BaseModel):
    """What came back of one line."""

    line_id: str
    quantity: float
    discount_minor: int
    points: int


class RollbackAnswer(BaseModel):
    """What came back this time; `rollback_id` is null where all was back already."""

    rollback_id: str | None
    redemption_id: str
    status: RedemptionStatus
    returned_minor: int
    discount_left_minor: int
    lines: list[RolledBackLine]


class RefusedProblem(Problem):
    """An error with every coupon that gives nothing, each with its reason."""

    refused: list[RefusedCoupon] = Field(default_factory=list)
