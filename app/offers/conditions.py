"""The condition tree of an offer: typed, stored as JSON, judged on a basket; nothing in it is ever executed."""

from datetime import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain import Channel
from app.offers.zones import TimeZone
from app.settings import Selected

MAX_DEPTH = 8


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AllOf(_Node):
    """Met when each of `of` is."""

    type: Literal["all"]
    of: Annotated[tuple["Condition", ...], Field(min_length=1, max_length=50)]


class AnyOf(_Node):
    """Met when one of `of` is."""

    type: Literal["any"]
    of: Annotated[tuple["Condition", ...], Field(min_length=1, max_length=50)]


class Not(_Node):
    """Met when `of` is not."""

    type: Literal["not"]
    of: "Condition"


class BasketTotal(_Node):
    """The basket costs more than `above_minor`, at least `at_least_minor`, at most `at_most_minor`."""

    type: Literal["basket_total"]
    above_minor: Annotated[int, Field(ge=0)] | None = None
    at_least_minor: Annotated[int, Field(ge=0)] | None = None
    at_most_minor: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _compares(self) -> "BasketTotal":
        if self.above_minor is None and self.at_least_minor is None and self.at_most_minor is None:
            raise ValueError("give above_minor, at_least_minor or at_most_minor")
        return self


class Contains(_Node):
    """Products of `products` are in the basket, so many pieces and so much money of them at least."""

    type: Literal["contains"]
    products: Annotated[tuple[Selected, ...], Field(min_length=1)]
    at_least_quantity: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    at_least_minor: Annotated[int, Field(ge=0)] = 0


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
    """On one of these weekdays (empty = any), from `start` until before `end`, in `time_zone`; may wrap midnight."""

    type: Literal["time"]
    time_zone: TimeZone
    weekdays: tuple[Weekday, ...] = ()
    start: time | None = None
    end: time | None = None


Condition = Annotated[
    AllOf | AnyOf | Not | BasketTotal | Contains | InChannel | InStore | OfTier | KnownCustomer | AtTime,
    Field(discriminator="type"),
]
