"""Events about places, which no person is behind: one row becomes a report of a store's stock or of a price."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.bounds import QUANTITY_MAX, Id, Instant
from app.ingest.schema import SenderSource, check_time, rejection, sender_of
from app.offers.terms.money import MAX_MINOR
from app.places.prices import PriceReport
from app.places.stock import StockReport
from app.places.stores import EVERYWHERE

INVENTORY, PRICE = "inventory_changed", "price_changed"
PLACE_TYPES = frozenset({INVENTORY, PRICE})
MILLI = 1_000
MAX_SEQUENCE = 2**53 - 1
"""The largest whole number that JSON keeps exactly everywhere."""

Quantity = Annotated[float, Field(ge=-QUANTITY_MAX, le=QUANTITY_MAX, allow_inf_nan=False)]
Sequence = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_SEQUENCE,
        description="The sender's own counter, which orders its reports. Default: they are ordered by `time`",
    ),
]


class PlaceRow(BaseModel):
    """What both have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Id = Field(description="Unique among the events of its sender and `source`: sent again it counts once")
    source: SenderSource = None
    time: Instant = Field(description="As of when it is true, ISO 8601 with an offset; at most two days ago")
    sequence: Sequence = None
    product_id: Id = Field(description="The product, by the id of the product table")


class InventoryRow(PlaceRow):
    """The stock of one product in one store, or a change of it. No person is behind it."""

    type: Literal["inventory_changed"] = Field(description="Stock; either `available` or `change`")
    store_id: Id = Field(description="The store or warehouse")
    available: Quantity | None = Field(
        default=None,
        description="What is there, in the product's unit of sale, to three decimals",
    )
    change: Quantity | None = Field(
        default=None, description="What came (above 0) or went (below 0) since; counts on top of what was there"
    )

    @model_validator(mode="after")
    def _says_one(self) -> "InventoryRow":
        if (self.available is None) == (self.change is None):
            raise ValueError("give either available or change")
        return self


class PriceAmount(BaseModel):
    """An amount of money."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount_minor: int = Field(ge=0, le=MAX_MINOR, description="In minor units of the currency: cents")
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217; the store's own")


class PriceRow(PlaceRow):
    """What a product costs in one store, or in all that have no price of their own. No person is behind it."""

    type: Literal["price_changed"] = Field(description="A price, from `time` on")
    store_id: Id | None = Field(default=None, description="The store. Default: all that have no price of their own")
    price: PriceAmount | None = Field(description="What a piece costs; null: no price of its own any more")


@dataclass(frozen=True, slots=True)
class PlaceReport:
    """A report of a store's product, checked in form; `store_id` EVERYWHERE stands for all stores."""

    store_id: str
    product_id: str
    report: StockReport | PriceReport


class PlaceOutcome(NamedTuple):
    """What became of a report: accepted, duplicate or rejected; `code` says why it is without effect."""

    status: str
    code: str | None = None
    detail: str | None = None


def parse_place_event(row: Mapping[str, object], *, client: str, now: datetime) -> PlaceReport:
    """The report of one row that this client sent; raises RejectedEvent."""
    parse = _PARSERS[str(row["type"])]
    try:
        return parse(row, client, now)
    except ValidationError as error:
        raise rejection(error) from None


def _inventory(row: Mapping[str, object], client: str, now: datetime) -> PlaceReport:
    parsed = InventoryRow.model_validate(row)
    check_time(parsed.time, now=now)
    report = StockReport(
        sender=sender_of(client, parsed.source),
        event_id=parsed.id,
        at=parsed.time,
        sequence=parsed.sequence,
        quantity_milli=_milli(parsed.available),
        change_milli=_milli(parsed.change),
    )
    return PlaceReport(parsed.store_id, parsed.product_id, report)


def _price(row: Mapping[str, object], client: str, now: datetime) -> PlaceReport:
    parsed = PriceRow.model_validate(row)
    check_time(parsed.time, now=now)
    report = PriceReport(
        sender=sender_of(client, parsed.source),
        event_id=parsed.id,
        at=parsed.time,
        sequence=parsed.sequence,
        price_minor=None if parsed.price is None else parsed.price.amount_minor,
        currency="" if parsed.price is None else parsed.price.currency,
    )
    return PlaceReport(parsed.store_id or EVERYWHERE, parsed.product_id, report)


def _milli(quantity: float | None) -> int | None:
    return None if quantity is None else round(quantity * MILLI)


_PARSERS: Mapping[str, Callable[[Mapping[str, object], str, datetime], PlaceReport]] = {
    INVENTORY: _inventory,
    PRICE: _price,
}
