"""One row of the events API becomes Events: the same checks for HTTP, files and beacons."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from app.bounds import CLOCK_SKEW, ID_LENGTH, QUANTITY_MAX, Id, Instant, is_ahead
from app.customers.identities import named_ids
from app.domain import REFUND, TRADES, Channel, Event, ProductId
from app.errors import BadInput, pointer_to
from app.offers.terms.money import MAX_MINOR

EVENT_TYPES = (
    "view_item_list", "view_item", "select_item", "search", "scan_item", "add_to_cart", "remove_from_cart",
    "add_to_wishlist", "remove_from_wishlist", "view_cart", "begin_checkout", "purchase", "refund",
    "view_promotion", "select_promotion", "dismiss_promotion", "region_enter", "region_dwell", "region_exit",
    "qr_scan", "shipment_delayed", "replenishment_signal", "payment_failed",
)  # fmt: skip
PRODUCT_TYPES = frozenset(
    {"view_item", "select_item", "scan_item", "add_to_cart", "add_to_wishlist", "purchase", "refund"}
)
QUANTITY = "In the product's unit of sale: pieces, kilograms, …"
LINE_QUANTITY = f"{QUANTITY}; 0: a line that was voided"


class EventItem(BaseModel):
    """One line of an event that concerns several products."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product_id: Id = Field(description="The product, by the id of the product table")
    quantity: float = Field(default=1.0, ge=0, le=QUANTITY_MAX, allow_inf_nan=False, description=LINE_QUANTITY)
    amount_minor: int | None = Field(
        default=None,
        ge=-MAX_MINOR,
        le=MAX_MINOR,
        description="What the whole line cost, in minor units; a purchase below 0 is a refund",
    )


SenderSource = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=ID_LENGTH, pattern=r"^[!-~]+$")] | None,
    Field(
        description="Who gave the event its id, where several senders share a key: a till, a browser tab. "
        "As in CloudEvents, an `id` need only be unique for its source",
    ),
]


class EventRow(BaseModel):
    """An event as it comes in: who did what, when, with which products."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Id = Field(description="Unique among the events of its sender and `source`: sent again it counts once")
    source: SenderSource = None
    # The tuple above is the one list of names, so no static Literal can repeat it.
    type: Literal[EVENT_TYPES] = Field(  # type: ignore[valid-type]
        description="What happened, by GA4's names and a few of the store's own"
    )
    time: Instant = Field(description="When it happened, ISO 8601 with an offset")
    channel: Channel | None = Field(default=None, description="Where the customer was met")
    customer_id: Id | None = Field(
        default=None, description="The customer, by the id that the retailer's own systems use"
    )
    anonymous_id: Id | None = Field(default=None, description="A device or browser whose owner is not known")
    product_id: Id | None = Field(default=None, description="The one product that it is about; else `items`")
    items: list[EventItem] | None = Field(
        default=None, min_length=1, max_length=200, description="The products that it is about, where it is several"
    )
    basket_id: Id | None = Field(default=None, description="The basket or receipt that it belongs to")
    quantity: float = Field(default=1.0, ge=0, le=QUANTITY_MAX, allow_inf_nan=False, description=LINE_QUANTITY)
    amount_minor: int | None = Field(
        default=None,
        ge=-MAX_MINOR,
        le=MAX_MINOR,
        description="What it cost, in minor units of `currency`; each of `items` has its own. A purchase below 0 is a "
        "refund",
    )
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] | None = Field(
        default=None, description="Currency of the amounts, ISO 4217. Default: ENDCAP_CURRENCY"
    )
    store_id: Id | None = Field(default=None, description="The store where it happened, if in one")
    session_id: Id | None = Field(default=None, description="The visit to a site or app that it belongs to")
    decision_id: Id | None = Field(default=None, description="The decision that it answers, if any")
    offer_id: Id | None = Field(default=None, description="The offer that a promotion event is about")

    @model_validator(mode="after")
    def _names_whom_and_what(self) -> "EventRow":
        if self.customer_id is None and self.anonymous_id is None:
            raise ValueError("customer_id or anonymous_id is needed")
        if self.product_id is not None and self.items is not None:
            raise ValueError("give product_id or items, not both")
        if self.type in PRODUCT_TYPES and self.product_id is None and self.items is None:
            raise ValueError(f"{self.type} needs product_id or items")
        return self


class RejectedEvent(BadInput):
    """A row that is no event; `code` says why, and `faults` each field with what is wrong with it."""

    def __init__(
        self, code: str, message: str, *, pointer: str | None = None, faults: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message, pointer=pointer)
        self.code = code
        self.faults = tuple(faults) or ((pointer or "", message),)


def parse_event(row: Mapping[str, object], *, client: str, now: datetime) -> list[Event]:
    """The event of one row that this client sent, or one per item when it has several; raises RejectedEvent."""
    try:
        parsed = EventRow.model_validate(row)
    except ValidationError as error:
        raise rejection(error) from None
    check_time(parsed.time, now=now)
    try:
        ids = named_ids(parsed.customer_id, parsed.anonymous_id)
    except BadInput as error:
        raise RejectedEvent("invalid_event", error.message, pointer="/customer_id") from None
    event = _event(parsed, client, *ids)
    if parsed.items is None:
        return [_signed(event)]
    return [
        _signed(
            replace(
                event,
                item=number,
                product_id=ProductId(item.product_id),
                quantity=item.quantity,
                amount_minor=item.amount_minor,
            )
        )
        for number, item in enumerate(parsed.items)
    ]


def check_time(at: datetime, *, now: datetime) -> None:
    """Raises RejectedEvent for an instant that a clock would have to be wrong to name."""
    if is_ahead(at, now=now):
        minutes = CLOCK_SKEW.total_seconds() // 60
        detail = f"time {at.isoformat()} is over {minutes:.0f} minutes after now; check the sender's clock"
        raise RejectedEvent("time_in_future", detail, pointer="/time")


def sender_of(client: str, source: str | None) -> str:
    """Who gave an event its id. A client holds no slash and neither holds a space, so no two senders have one name."""
    return client if source is None else f"{client}/{source}"


def _signed(event: Event) -> Event:
    """A purchase of a negative amount as what it is, a refund, whose amount is positive."""
    if event.type in TRADES and event.amount_minor is not None and event.amount_minor < 0:
        return replace(event, type=REFUND, amount_minor=-event.amount_minor)
    return event


def _event(parsed: EventRow, client: str, customer_id: str | None, anonymous_id: str | None) -> Event:
    return Event(
        event_id=parsed.id,
        type=parsed.type,
        time=parsed.time,
        channel=parsed.channel,
        customer_id=customer_id,
        anonymous_id=anonymous_id,
        product_id=ProductId(parsed.product_id) if parsed.product_id else None,
        basket_id=parsed.basket_id,
        quantity=parsed.quantity,
        amount_minor=parsed.amount_minor,
        currency=parsed.currency,
        store_id=parsed.store_id,
        session_id=parsed.session_id,
        decision_id=parsed.decision_id,
        offer_id=parsed.offer_id,
        sender=sender_of(client, parsed.source),
    )


def rejection(error: ValidationError) -> RejectedEvent:
    """A row's faults as what is answered."""
    first = error.errors()[0]
    pointer = pointer_to(first["loc"])
    each = [(pointer_to(fault["loc"]), fault["msg"]) for fault in error.errors()]
    faults = [(where, f"{where or 'event'}: {words}") for where, words in each]
    code = "unknown_event_type" if first["loc"] == ("type",) and first["type"] == "literal_error" else "invalid_event"
    return RejectedEvent(code, f"{pointer or 'event'}: {first['msg']}", pointer=pointer or None, faults=faults)
