"""The condition tree of an offer: typed, stored as JSON, checked on a basket; nothing in it is ever executed."""

from datetime import time
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.domain import Channel
from app.offers.terms.money import MAX_MINOR, three_decimals
from app.settings import ProductSelector, TimeZone

MAX_DEPTH = 8
TOO_DEEP = f"conditions may be nested {MAX_DEPTH} deep at most"

LimitMinor = Annotated[int, Field(ge=0, le=MAX_MINOR)]


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def depth(self) -> int:
        """How many levels the tree has from here; a leaf has one."""
        return 1


class _Several(_Node):
    of: Annotated[tuple["Condition", ...], Field(min_length=1, max_length=50, description="The conditions")]

    @property
    def depth(self) -> int:
        """One level more than the deepest below."""
        return 1 + max(one.depth for one in self.of)

    @model_validator(mode="after")
    def _is_shallow(self) -> Self:
        _check_depth(self.depth)
        return self


class AllOf(_Several):
    """Met when each of `of` is."""

    type: Literal["all"] = Field(description="Always `all`")


class AnyOf(_Several):
    """Met when one of `of` is."""

    type: Literal["any"] = Field(description="Always `any`")


class Not(_Node):
    """Met when `of` is not."""

    type: Literal["not"] = Field(description="Always `not`")
    of: "Condition" = Field(description="The condition that must not be met")

    @property
    def depth(self) -> int:
        """One level more than below."""
        return 1 + self.of.depth

    @model_validator(mode="after")
    def _is_shallow(self) -> Self:
        _check_depth(self.depth)
        return self


class BasketTotal(_Node):
    """The basket costs so much before coupons; give at least one bound."""

    type: Literal["basket_total"] = Field(description="Always `basket_total`")
    above_minor: LimitMinor | None = Field(default=None, description="More than this, in minor units")
    at_least_minor: LimitMinor | None = Field(default=None, description="This or more, in minor units")
    at_most_minor: LimitMinor | None = Field(default=None, description="This or less, in minor units")

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.above_minor is None and self.at_least_minor is None and self.at_most_minor is None:
            raise ValueError("give above_minor, at_least_minor or at_most_minor")
        if self.at_most_minor is not None and self.at_most_minor < self.least_minor:
            raise ValueError("at_most_minor must not lie below what is required at least")
        return self

    @property
    def least_minor(self) -> int:
        """The smallest total that is large enough."""
        above = 0 if self.above_minor is None else self.above_minor + 1  # Whole units: more than n is n + 1.
        return max(above, self.at_least_minor or 0)


class Contains(_Node):
    """Some products are in the basket."""

    type: Literal["contains"] = Field(description="Always `contains`")
    products: Annotated[tuple[ProductSelector, ...], Field(min_length=1)] = Field(description="Which products")
    at_least_quantity: Annotated[
        float, Field(ge=0.001, le=1e9, allow_inf_nan=False), AfterValidator(three_decimals)
    ] = Field(default=1.0, description="So much of them together, in their unit of sale, with at most three decimals")
    at_least_minor: LimitMinor = Field(default=0, description="So much money for them together, in minor units")


class InChannel(_Node):
    """The customer is met on one of these channels."""

    type: Literal["channel"] = Field(description="Always `channel`")
    any_of: Annotated[tuple[Channel, ...], Field(min_length=1)] = Field(description="The channels")


class InStore(_Node):
    """The customer is in one of these stores."""

    type: Literal["store"] = Field(description="Always `store`")
    any_of: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="The stores' ids")


class OfTier(_Node):
    """The customer is of one of these loyalty tiers."""

    type: Literal["tier"] = Field(description="Always `tier`")
    any_of: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="The tiers' names")


class KnownCustomer(_Node):
    """The customer is known by an id."""

    type: Literal["known_customer"] = Field(description="Always `known_customer`")


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class AtTime(_Node):
    """It is this time there.

    Where `end` lies before `start` the time goes on after midnight, and belongs to the weekday that it began on.
    """

    type: Literal["time"] = Field(description="Always `time`")
    time_zone: TimeZone = Field(description="An IANA name, such as Europe/Berlin")
    weekdays: tuple[Weekday, ...] = Field(default=(), description="On one of these. Empty: any day")
    start: time | None = Field(default=None, description="First time of the day, without an offset. Default: midnight")
    end: time | None = Field(default=None, description="First time that is too late. Default: the end of the day")

    @model_validator(mode="after")
    def _is_some_time(self) -> Self:
        if not self.weekdays and self.start is None and self.end is None:
            raise ValueError("give weekdays, start or end")
        if any(one is not None and one.tzinfo is not None for one in (self.start, self.end)):
            raise ValueError("start and end are local times of time_zone: leave the offset out")
        if (self.start or time.min) == self.end:
            raise ValueError("end must differ from start")
        return self


Condition = Annotated[
    AllOf | AnyOf | Not | BasketTotal | Contains | InChannel | InStore | OfTier | KnownCustomer | AtTime,
    Field(discriminator="type"),
]


def attributes_named(condition: Condition) -> set[str]:
    """The product attributes that the condition looks at."""
    match condition:
        case AllOf() | AnyOf():
            return {name for one in condition.of for name in attributes_named(one)}
        case Not():
            return attributes_named(condition.of)
        case Contains():
            return {one.attribute for one in condition.products if one.attribute is not None}
        case _:
            return set()


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(TOO_DEEP)
