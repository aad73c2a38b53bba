"""The condition tree of an offer: typed, stored as JSON, judged on a basket; nothing in it is ever executed."""

from datetime import time
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain import Channel
from app.offers.terms.money import MAX_MINOR
from app.settings import Selected, TimeZone

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
    of: Annotated[tuple["Condition", ...], Field(min_length=1, max_length=50)]

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

    type: Literal["all"]


class AnyOf(_Several):
    """Met when one of `of` is."""

    type: Literal["any"]


class Not(_Node):
    """Met when `of` is not."""

    type: Literal["not"]
    of: "Condition"

    @property
    def depth(self) -> int:
        """One level more than below."""
        return 1 + self.of.depth

    @model_validator(mode="after")
    def _is_shallow(self) -> Self:
        _check_depth(self.depth)
        return self


class BasketTotal(_Node):
    """The basket costs more than `above_minor`, at least `at_least_minor`, at most `at_most_minor`."""

    type: Literal["basket_total"]
    above_minor: LimitMinor | None = None
    at_least_minor: LimitMinor | None = None
    at_most_minor: LimitMinor | None = None

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
        above = 0 if self.above_minor is None else self.above_minor + 1
        return max(above, self.at_least_minor or 0)


class Contains(_Node):
    """Products of `products` are in the basket, so many pieces and so much money of them at least."""

    type: Literal["contains"]
    products: Annotated[tuple[Selected, ...], Field(min_length=1)]
    at_least_quantity: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    at_least_minor: LimitMinor = 0


class InChannel(_Node):
    """The customer is met on one of these channels."""

    type: Literal["channel"]
    any_of: Annotated[tuple[Channel, ...], Field(min_length=1)]


class InStore(_Node):
    """The customer is in one of these stores."""

    type: Literal["store"]
    any_of: Annotated[tuple[str, ...], Field(min_length=1)]


class OfTier(_Node):
    """The customer is of one of these loyalty tiers."""

    type: Literal["tier"]
    any_of: Annotated[tuple[str, ...], Field(min_length=1)]


class KnownCustomer(_Node):
    """The customer is known by an id."""

    type: Literal["known_customer"]


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class AtTime(_Node):
    """On one of these weekdays (empty = any), from `start` until before `end`, in `time_zone`.

    None starts and ends with the day. Where `end` lies before `start` the time goes on after midnight, and belongs to
    the weekday that it began on.
    """

    type: Literal["time"]
    time_zone: TimeZone
    weekdays: tuple[Weekday, ...] = ()
    start: time | None = None
    end: time | None = None

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
