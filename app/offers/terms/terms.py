"""What campaigns and offers promise: the documents that are checked when saved, and kept as they were."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.domain import Channel
from app.offers.terms.conditions import Condition, attributes_named
from app.offers.terms.gs1 import checked_gcn
from app.offers.terms.money import MAX_MINOR, two_decimals
from app.offers.terms.time_zones import PlannedInstant
from app.settings import ProductSelector, TimeZone

RETAILER = "retailer"
"""The funder whose money the retailer's own margin is; any other name is a supplier or partner."""

Minor = Annotated[int, Field(ge=1, le=MAX_MINOR)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class Document(BaseModel):
    """A part of a stored document: frozen, and nothing in it is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Percent(Document):
    """So many percent off what the lines cost."""

    type: Literal["percent"] = Field(description="Always `percent`")
    percent: Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False), AfterValidator(two_decimals)] = Field(
        description="In percent, with at most two decimals"
    )
    max_discount_minor: Minor | None = Field(
        default=None, description="Never more than this off, in minor units. Default: no limit"
    )


class Amount(Document):
    """This much off all lines together."""

    type: Literal["amount"] = Field(description="Always `amount`")
    amount_minor: Minor = Field(description="In minor units")


class FixedPrice(Document):
    """Each piece for this price where it costs more."""

    type: Literal["fixed_price"] = Field(description="Always `fixed_price`")
    price_minor: Annotated[int, Field(ge=0, le=MAX_MINOR)] = Field(description="For one piece, in minor units")
    max_quantity: Count | None = Field(
        default=None, description="For so many pieces at most, the dearest first. Default: all"
    )


class NForM(Document):
    """Take `take` pieces and pay for `pay`: the cheapest of each group are free, dearest pieces grouped first."""

    type: Literal["n_for_m"] = Field(description="Always `n_for_m`")
    take: Annotated[int, Field(ge=2, le=1000)] = Field(description="Pieces in a group")
    pay: Annotated[int, Field(ge=1, le=999)] = Field(description="Pieces of a group that are paid for")
    max_groups: Count | None = Field(default=None, description="For so many groups at most. Default: all")

    @model_validator(mode="after")
    def _gives_something(self) -> "NForM":
        if self.pay >= self.take:
            raise ValueError("pay must be less than take")
        return self


class Points(Document):
    """Loyalty points instead of money."""

    type: Literal["points"] = Field(description="Always `points`")
    points: Annotated[int, Field(ge=0, le=10**9)] = Field(default=0, description="So many points at once")
    points_per_major: Annotated[int, Field(ge=0, le=10**4)] = Field(
        default=0, description="So many points for each whole currency unit (euro, dollar) left to pay"
    )
    point_cost_minor: Annotated[int, Field(ge=0, le=10**3)] = Field(
        default=0, description="What the budget pays for one point, in minor units"
    )

    @model_validator(mode="after")
    def _gives_something(self) -> "Points":
        if not self.points and not self.points_per_major:
            raise ValueError("give points or points_per_major")
        return self


Discount = Annotated[Percent | Amount | FixedPrice | NForM | Points, Field(discriminator="type")]


class ByReceipt(Document):
    """A coupon for each receipt that meets a condition."""

    by: Literal["receipt"] = Field(description="Always `receipt`")
    condition: Condition = Field(description="What the receipt must meet (docs/coupon-rules.md#conditions)")
    same_day: bool = Field(
        default=True, description="Only receipts that come in on their own day, in the store's time zone"
    )
    grace_minutes: Annotated[int, Field(ge=0, le=1440)] = Field(
        default=0, description="Minutes after the end of that day that still count"
    )


class ByAudience(Document):
    """Coupons for the campaign's audience, when the campaign's people order them."""

    by: Literal["audience"] = Field(description="Always `audience`")


class ByDecision(Document):
    """Any customer may be shown the offer; who activates it gets a coupon, once."""

    by: Literal["decision"] = Field(description="Always `decision`")


Issuing = Annotated[ByAudience | ByDecision | ByReceipt, Field(discriminator="by")]


class OfferTerms(Document):
    """What is promised, to whom, where and when (docs/coupon-rules.md)."""

    version: Literal[1] = Field(default=1, description="Version of this form")
    name: Name = Field(description="What people call it")
    discount: Discount = Field(description="What it gives (docs/coupon-rules.md#discounts)")
    applies_to: tuple[ProductSelector, ...] = Field(
        default=(), description="Products; one of the selections is enough. Empty: the whole basket"
    )
    excludes: tuple[ProductSelector, ...] = Field(default=(), description="Products taken out of these")
    minimum_basket_minor: Minor | None = Field(
        default=None, description="What the whole basket costs at least before coupons, in minor units. Default: any"
    )
    channels: tuple[Channel, ...] = Field(default=(), description="Where it can be used. Empty: everywhere")
    store_ids: tuple[Name, ...] = Field(default=(), description="Stores. Empty: all, and outside of stores")
    tiers: tuple[Name, ...] = Field(default=(), description="Loyalty tiers. Empty: all, and customers without one")
    condition: Condition | None = Field(
        default=None, description="What must be met as well (docs/coupon-rules.md#conditions)"
    )
    valid_from: PlannedInstant | None = Field(default=None, description="First instant. Default: at once")
    valid_until: PlannedInstant | None = Field(
        default=None, description="First instant that is too late. Default: never"
    )
    valid_days: Annotated[int, Field(ge=1, le=3660)] | None = Field(
        default=None, description="Days that a coupon is valid from its issue, within the two above. Default: no limit"
    )
    price_floor_minor: Annotated[int, Field(ge=0, le=MAX_MINOR)] | None = Field(
        default=None, description="No piece that it applies to gets cheaper than this, in minor units. Default: 0"
    )
    combinable: bool = Field(default=False, description="True where it may be used together with others")
    group: Name | None = Field(default=None, description="Of one group one coupon is used. Default: no group")
    uses_per_code: Count | None = Field(default=1, description="How often a code is redeemed; null: without end")
    reservation_required: bool = Field(default=False, description="It must be reserved before it is redeemed")
    # A factory, so that the schema shows no object as the default: generators of clients refuse that.
    issue: Issuing = Field(
        default_factory=lambda: ByAudience(by="audience"),
        description="How coupons come about (docs/issuing.md). Default: by audience",
    )
    gcn: Annotated[str, AfterValidator(checked_gcn)] | None = Field(
        default=None, description="GS1 Global Coupon Number, 13 digits with its check digit. Default: none"
    )

    @model_validator(mode="after")
    def _window_is_open(self) -> "OfferTerms":
        _check_window(self.valid_from, self.valid_until, "valid_from", "valid_until")
        return self


def attributes_of(terms: OfferTerms) -> set[str]:
    """The product attributes that the terms look at."""
    named = {one.attribute for one in (*terms.applies_to, *terms.excludes) if one.attribute is not None}
    return named if terms.condition is None else named | attributes_named(terms.condition)


class Limit(Document):
    """So many redemptions at most."""

    scope: Literal["code", "customer", "campaign"] = Field(description="Per code, per customer, or in all")
    count: Count = Field(description="Redemptions at most")
    period: Literal["day", "week", "month", "total"] = Field(
        default="total", description="In each of these, in the campaign's time zone; weeks begin on Monday"
    )


class CampaignTerms(Document):
    """What a campaign sets for all its offers."""

    name: Name = Field(description="What people call it")
    funder: Name = Field(default=RETAILER, description="Whose money it is: `retailer`, or a supplier's name")
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] = Field(
        description="ISO 4217; coupons are used on baskets in it only"
    )
    budget_minor: Annotated[int, Field(ge=0, le=MAX_MINOR)] | None = Field(
        default=None,
        description="What all redemptions and reservations cost at most, in minor units. Default: no budget",
    )
    starts_at: PlannedInstant | None = Field(
        default=None, description="First instant at which it runs. Default: once scheduled"
    )
    ends_at: PlannedInstant | None = Field(
        default=None, description="First instant at which it has ended. Default: when it is ended"
    )
    time_zone: TimeZone = Field(
        default="UTC", description="Where its days, weeks and months begin: an IANA name, such as Europe/Berlin"
    )
    limits: Annotated[tuple[Limit, ...], Field(max_length=20)] = Field(
        default=(), description="How often coupons are redeemed; each scope and period once"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> "CampaignTerms":
        _check_window(self.starts_at, self.ends_at, "starts_at", "ends_at")
        if len({(limit.scope, limit.period) for limit in self.limits}) < len(self.limits):
            raise ValueError("limits names a scope and period twice")
        return self


def _check_window(start: datetime | None, end: datetime | None, start_name: str, end_name: str) -> None:
    if start is not None and end is not None and end <= start:
        raise ValueError(f"{end_name} must be after {start_name}")
