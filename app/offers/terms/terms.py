"""What campaigns and offers promise: the documents that are checked when saved, and kept as they were."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.domain import Channel
from app.offers.terms.conditions import Condition
from app.offers.terms.gs1 import checked_gcn
from app.offers.terms.money import MAX_MINOR
from app.offers.terms.time_zones import PlannedInstant
from app.settings import Selected, TimeZone

RETAILER = "retailer"
"""The funder whose money the retailer's own margin is; any other name is a supplier or partner."""

Minor = Annotated[int, Field(ge=1, le=MAX_MINOR)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class Document(BaseModel):
    """A part of a stored document: frozen, and nothing in it is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _whole_basis_points(percent: float) -> float:
    if abs(percent * 100 - round(percent * 100)) > 1e-6:
        raise ValueError("Input should have at most two decimals")
    return percent


class Percent(Document):
    """So many percent off what the lines cost, `max_discount_minor` at most."""

    type: Literal["percent"]
    percent: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False), AfterValidator(_whole_basis_points)]
    max_discount_minor: Minor | None = None


class Amount(Document):
    """This much off all lines together."""

    type: Literal["amount"]
    amount_minor: Minor


class FixedPrice(Document):
    """Each piece for this price where it costs more, for `max_quantity` pieces at most."""

    type: Literal["fixed_price"]
    price_minor: Annotated[int, Field(ge=0, le=MAX_MINOR)]
    max_quantity: Annotated[int, Field(ge=1)] | None = None


class NForM(Document):
    """Take `take` pieces and pay for `pay`: the cheapest of each group are free, dearest pieces grouped first."""

    type: Literal["n_for_m"]
    take: Annotated[int, Field(ge=2, le=1000)]
    pay: Annotated[int, Field(ge=1, le=999)]
    max_groups: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _gives_something(self) -> "NForM":
        if self.pay >= self.take:
            raise ValueError("pay must be less than take")
        return self


class Points(Document):
    """`points` at once, and `points_per_major` for each whole currency unit of the lines; a point costs the budget
    `point_cost_minor`."""

    type: Literal["points"]
    points: Annotated[int, Field(ge=0, le=10**9)] = 0
    points_per_major: Annotated[int, Field(ge=0, le=10**4)] = 0
    point_cost_minor: Annotated[int, Field(ge=0, le=10**3)] = 0

    @model_validator(mode="after")
    def _gives_something(self) -> "Points":
        if not self.points and not self.points_per_major:
            raise ValueError("give points or points_per_major")
        return self


Discount = Annotated[Percent | Amount | FixedPrice | NForM | Points, Field(discriminator="type")]


class ByReceipt(Document):
    """A coupon for each receipt that meets `condition`; `same_day`: only when it comes in on its own day in the
    store's time zone, or at most `grace_minutes` later."""

    by: Literal["receipt"]
    condition: Condition
    same_day: bool = True
    grace_minutes: Annotated[int, Field(ge=0, le=1440)] = 0


class ByAudience(Document):
    """Coupons for the campaign's audience, when the campaign's people order them."""

    by: Literal["audience"]


class ByDecision(Document):
    """Any customer may be shown the offer; who activates it gets a coupon, once."""

    by: Literal["decision"]


Issuing = Annotated[ByAudience | ByDecision | ByReceipt, Field(discriminator="by")]


class OfferTerms(Document):
    """What is promised. Empty tuples and None promise without that condition; docs/coupon-rules.md tells every field.

    `applies_to` empty: the whole basket. `price_floor_minor`: no piece it applies to gets cheaper than that.
    A coupon is valid for `valid_days` from its issue, within `valid_from` and `valid_until`.
    """

    version: Literal[1] = 1
    name: Name
    discount: Discount
    applies_to: tuple[Selected, ...] = ()
    excludes: tuple[Selected, ...] = ()
    minimum_basket_minor: Minor | None = None
    channels: tuple[Channel, ...] = ()
    store_ids: tuple[Name, ...] = ()
    tiers: tuple[Name, ...] = ()
    condition: Condition | None = None
    valid_from: PlannedInstant | None = None
    valid_until: PlannedInstant | None = None
    valid_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    price_floor_minor: Annotated[int, Field(ge=0, le=MAX_MINOR)] | None = None
    combinable: bool = False
    group: Name | None = None
    uses_per_code: Count | None = 1
    reservation_required: bool = False
    issue: Issuing = ByAudience(by="audience")
    gcn: Annotated[str, AfterValidator(checked_gcn)] | None = None

    @model_validator(mode="after")
    def _window_is_open(self) -> "OfferTerms":
        _check_window(self.valid_from, self.valid_until, "valid_from", "valid_until")
        return self


class Limit(Document):
    """At most `count` redemptions in each `period` of the campaign's time zone, per code, per customer or in all."""

    scope: Literal["code", "customer", "campaign"]
    count: Count
    period: Literal["day", "week", "month", "total"] = "total"


class CampaignTerms(Document):
    """What a campaign sets for all its offers; `budget_minor` None = no budget, only limits."""

    name: Name
    funder: Name = RETAILER
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
    budget_minor: Annotated[int, Field(ge=0, le=MAX_MINOR)] | None = None
    starts_at: PlannedInstant | None = None
    ends_at: PlannedInstant | None = None
    time_zone: TimeZone = "UTC"
    limits: Annotated[tuple[Limit, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> "CampaignTerms":
        _check_window(self.starts_at, self.ends_at, "starts_at", "ends_at")
        if len({(limit.scope, limit.period) for limit in self.limits}) < len(self.limits):
            raise ValueError("limits names a scope and period twice")
        return self


def _check_window(start: datetime | None, end: datetime | None, start_name: str, end_name: str) -> None:
    if start is not None and end is not None and end <= start:
        raise ValueError(f"{end_name} must be after {start_name}")
