"""Stores as they come in and go out as JSON: checked whole, a sentence and a pointer for the first fault.

The words are those of schema.org: openings with `opens` and `closes`, a position with `latitude` and `longitude`. Times
of day are local to the store and written HH:MM; an opening ends by midnight, which is 00:00, or 24:00 on its way in.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import date, time
from itertools import pairwise
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from app.bounds import NAME_LENGTH, WITHOUT_CONTROL, Id, Instant
from app.domain import JsonObject
from app.errors import BadInput, pointer_to
from app.places.stores import DeliverySlot, Fulfilment, Opening, OpeningHours, Position, Store, StoreKind, Way
from app.settings import TimeZone

SLOTS_MAX = 500
OPENINGS_MAX = 24
EXCEPTIONS_MAX = 1000
HALF_WAY_ROUND_KM = 20_040
MINUTES_MAX = 30 * 24 * 60
WORKING_DAYS_MAX = 90
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:00)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MIDNIGHT = time(0)
TOO_DEEP = "is nested too deeply; a store has a position, openings and ways, and nothing below them"
_PATTERNS = {
    "holiday_region": "a country of ISO 3166, or with its region, such as DE-BY, US-CA or DE",
    "currency": "three letters of ISO 4217, such as EUR",
}
"""What a text must be that did not match its field's pattern."""


class InvalidStore(BadInput):
    """The document or the row of a store is not valid; `pointer` leads to the fault in a document."""

    code = "invalid_store"


def _time_of_day(value: object) -> time:
    if isinstance(value, time):
        return value
    if isinstance(value, str) and _TIME.fullmatch(value):
        return time.fromisoformat(value)
    raise ValueError(f"{value!r} is no time of day; write HH:MM, such as 07:00")


def _closing_time(value: object) -> time:
    return _MIDNIGHT if value == "24:00" else _time_of_day(value)


def _day(value: object) -> date:
    if isinstance(value, date):
        return value
    with suppress(ValueError):
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value)
    raise ValueError(f"{value!r} is no day; write YYYY-MM-DD, such as 2026-12-25")


Day = Annotated[date, BeforeValidator(_day)]
_WRITTEN = (
    PlainSerializer(lambda value: value.strftime("%H:%M"), return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d$", "examples": ["07:00"]}),
)
TimeOfDay = Annotated[time, PlainValidator(_time_of_day), *_WRITTEN]
ClosingTime = Annotated[time, PlainValidator(_closing_time), *_WRITTEN]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_LENGTH, pattern=WITHOUT_CONTROL)
]
Radius = Annotated[float, Field(gt=0, le=HALF_WAY_ROUND_KM, allow_inf_nan=False)]
CutOff = Annotated[
    TimeOfDay | None,
    Field(description="Orders until then are worked on that day, later ones on the next. Default: midnight"),
]


class Document(BaseModel):
    """A part of a store's document: frozen, and nothing in it is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PositionDocument(Document):
    """Where it is, in degrees of WGS 84."""

    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] = Field(description="North is positive")
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] = Field(description="East is positive")


class OpeningDocument(Document):
    """One time of a day at which the store is open."""

    opens: TimeOfDay = Field(description="Local time, HH:MM")
    closes: ClosingTime = Field(description="Local time, HH:MM; midnight is 00:00 or 24:00")

    @model_validator(mode="after")
    def _ends_that_day(self) -> "OpeningDocument":
        if self.closes != _MIDNIGHT and self.closes <= self.opens:
            times = f"{self.opens:%H:%M}-{self.closes:%H:%M}"
            raise ValueError(f"{times} ends before it begins; past midnight, write until 24:00, and the rest a day on")
        return self


def _apart(openings: tuple[OpeningDocument, ...]) -> tuple[OpeningDocument, ...]:
    """The openings in their order; raises ValueError where two of them overlap."""
    ordered = tuple(sorted(openings, key=lambda one: one.opens))
    for first, second in pairwise(ordered):
        if first.closes == _MIDNIGHT or second.opens < first.closes:
            raise ValueError(f"two openings overlap at {second.opens:%H:%M}; write them as one")
    return ordered


Openings = Annotated[tuple[OpeningDocument, ...], Field(max_length=OPENINGS_MAX), AfterValidator(_apart)]


class WeekDocument(Document):
    """When it is open on each day of the week; a day without an opening is closed."""

    monday: Openings = Field(default=(), description="Openings of a Monday, in order")
    tuesday: Openings = Field(default=(), description="Openings of a Tuesday, in order")
    wednesday: Openings = Field(default=(), description="Openings of a Wednesday, in order")
    thursday: Openings = Field(default=(), description="Openings of a Thursday, in order")
    friday: Openings = Field(default=(), description="Openings of a Friday, in order")
    saturday: Openings = Field(default=(), description="Openings of a Saturday, in order")
    sunday: Openings = Field(default=(), description="Openings of a Sunday, in order")


DAYS = tuple(WeekDocument.model_fields)
"""The days of the week as documents name them, Monday first."""


class HoursDocument(Document):
    """When it is open."""

    weekly: WeekDocument = Field(description="Openings by day of the week")
    exceptions: Annotated[dict[Day, Openings], Field(max_length=EXCEPTIONS_MAX)] = Field(
        default_factory=dict,
        description="Openings of single days in place of the week's, [] = closed. A holiday of the region that is not "
        "among them is closed",
    )


class InStoreDocument(Document):
    """Customers come in and take the goods along."""


class PickupDocument(Document):
    """Customers order and come for the goods."""

    lead_minutes: Annotated[int, Field(ge=0, le=MINUTES_MAX)] = Field(
        default=0, description="Ready so many minutes of opening time after the order"
    )
    cut_off: CutOff = None
    radius_km: Radius | None = Field(default=None, description="For customers so near. Default: for all")


class ShipDocument(Document):
    """Goods go out by parcel."""

    lead_working_days: Annotated[int, Field(ge=0, le=WORKING_DAYS_MAX)] = Field(
        default=0, description="With the customer so many working days after the day on which it is worked on"
    )
    cut_off: CutOff = None
    radius_km: Radius | None = Field(default=None, description="For customers so near. Default: for all")


class SlotDocument(Document):
    """A time at which a delivery may come."""

    slot_id: Id = Field(description="Its id, which no other slot of the store has")
    starts_at: Instant = Field(description="The delivery comes from then on")
    ends_at: Instant = Field(description="and until then")
    order_by_at: Instant = Field(description="Orders are taken until then")
    left: Annotated[int, Field(ge=0, le=10**6)] = Field(description="So many more orders are taken")

    @model_validator(mode="after")
    def _in_order(self) -> "SlotDocument":
        if self.ends_at <= self.starts_at:
            raise ValueError(f"slot {self.slot_id!r}: ends_at must be after starts_at")
        if self.order_by_at > self.ends_at:
            raise ValueError(f"slot {self.slot_id!r}: order_by_at must not be after ends_at")
        return self


def _each_once(slots: tuple[SlotDocument, ...]) -> tuple[SlotDocument, ...]:
    seen: set[str] = set()
    for slot in slots:
        if slot.slot_id in seen:
            raise ValueError(f"slot_id {slot.slot_id!r} is there twice; give each slot its own")
        seen.add(slot.slot_id)
    return slots


class DeliverDocument(Document):
    """Goods are brought at a time that the customer chooses."""

    radius_km: Radius | None = Field(default=None, description="For customers so near. Default: for all")
    slots: Annotated[tuple[SlotDocument, ...], Field(max_length=SLOTS_MAX), AfterValidator(_each_once)] = Field(
        default=(), description=f"Times to choose from, at most {SLOTS_MAX}. None: no delivery at present"
    )


class WaysDocument(Document):
    """How goods get from there to a customer; what is not named is not possible."""

    in_store: InStoreDocument | None = Field(default=None, description="Where customers take it along")
    pickup: PickupDocument | None = Field(default=None, description="Ordered, and collected there")
    ship: ShipDocument | None = Field(default=None, description="Sent by parcel")
    deliver: DeliverDocument | None = Field(default=None, description="Brought in one of the slots")


class StoreDocument(Document):
    """A store or a warehouse: where it is, when it is open and how its goods reach a customer."""

    store_id: Id = Field(description="The store, by the id that stock, prices and events have")
    kind: StoreKind = Field(default=StoreKind.STORE, description="A warehouse is a store that customers do not enter")
    name: Name | None = Field(default=None, description="What people call it")
    position: PositionDocument | None = Field(default=None, description="Default: unknown")
    time_zone: TimeZone = Field(default="UTC", description="IANA name, such as Europe/Berlin")
    holiday_region: Annotated[str, StringConstraints(pattern="^[A-Z]{2}(-[A-Z0-9]{1,3})?$")] | None = Field(
        default=None, description="Whose holidays it keeps: DE-BY, US-CA or DE. Default: none"
    )
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] | None = Field(
        default=None, description="ISO 4217. Default: the retailer's own"
    )
    opening_hours: HoursDocument | None = Field(default=None, description="Default: always open")
    ways: WaysDocument | None = Field(default=None, description="Default: in_store; none for a warehouse")

    @field_validator("ways")
    @classmethod
    def _fits_the_kind(cls, ways: WaysDocument | None, info: ValidationInfo) -> WaysDocument | None:
        if ways is not None and ways.in_store is not None and info.data.get("kind") is StoreKind.WAREHOUSE:
            raise ValueError("a warehouse has no in_store; leave it out, or make the kind store")
        return ways

    def to_store(self) -> Store:
        """The store that it describes."""
        return Store(
            store_id=self.store_id,
            kind=self.kind,
            name=self.name,
            position=None if self.position is None else Position(self.position.latitude, self.position.longitude),
            time_zone=self.time_zone,
            holiday_region=self.holiday_region,
            hours=None if self.opening_hours is None else _hours(self.opening_hours),
            ways=_default_ways(self.kind) if self.ways is None else _ways(self.ways),
            currency=self.currency,
        )


def parse_store(raw: object, prefix: str = "") -> StoreDocument:
    """The checked document of decoded JSON; raises InvalidStore, its pointer beginning with `prefix`.

    Numbers must be numbers and whole ones whole: a latitude of "39.1" is refused.
    """
    try:
        # By way of JSON, because strict validation of Python objects refuses instants as text and lists for tuples.
        return StoreDocument.model_validate_json(to_json(raw), strict=True)
    except PydanticSerializationError:
        raise InvalidStore(f"{prefix or 'store'}: {TOO_DEEP}", pointer=prefix or None) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    # pydantic puts this behind the key of a mapping that is at fault itself.
    pointer = prefix + pointer_to(part for part in first["loc"] if part != "[key]")
    raise InvalidStore(f"{pointer or 'store'}: {_sentence(first)}", pointer=pointer or None)


def store_of_document(raw: object, prefix: str = "") -> Store:
    """The store of decoded JSON; raises InvalidStore, its pointer beginning with `prefix`."""
    return parse_store(raw, prefix).to_store()


def store_document(store: Store) -> JsonObject:
    """The store as JSON, from which `store_of_document` makes the same again; raises InvalidStore for what is none."""
    hours = store.hours
    described = {
        "store_id": store.store_id,
        "kind": store.kind,
        "name": store.name,
        "position": store.position and {"latitude": store.position.latitude, "longitude": store.position.longitude},
        "time_zone": store.time_zone,
        "holiday_region": store.holiday_region,
        "currency": store.currency,
        "opening_hours": None if hours is None else _hours_document(hours),
        "ways": {way.value: _way_document(fulfilment) for way, fulfilment in store.ways.items()},
    }
    return parse_store(described).model_dump(mode="json", exclude_none=True)


def _sentence(error: ErrorDetails) -> str:
    """The fault in words, with the value where it is short and the sentence lacks it."""
    value = error["input"]
    shown = f", not {value!r:.80}" if isinstance(value, str | int | float) else ""
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is no field of a store; check its spelling, or leave it out"
        case "string_pattern_mismatch":
            return f"write {_PATTERNS.get(str(error['loc'][-1]), 'it without control characters')}{shown}"
        # pydantic's own parser gives up on what to_json() could still write.
        case "json_invalid" | "recursion_loop":
            return TOO_DEEP
        case _:
            return error["msg"] + shown


def _hours(hours: HoursDocument) -> OpeningHours:
    weekly = tuple(_openings(getattr(hours.weekly, day)) for day in DAYS)
    return OpeningHours(weekly, {day: _openings(of_day) for day, of_day in sorted(hours.exceptions.items())})


def _openings(documents: Sequence[OpeningDocument]) -> tuple[Opening, ...]:
    return tuple((one.opens, one.closes) for one in documents)


def _default_ways(kind: StoreKind) -> Mapping[Way, Fulfilment]:
    return {} if kind is StoreKind.WAREHOUSE else {Way.IN_STORE: Fulfilment()}


def _ways(ways: WaysDocument) -> Mapping[Way, Fulfilment]:
    named = ((way, getattr(ways, way.value)) for way in Way)
    return {way: _fulfilment(document) for way, document in named if document is not None}


def _fulfilment(document: InStoreDocument | PickupDocument | ShipDocument | DeliverDocument) -> Fulfilment:
    stated = dict(document)
    slots = tuple(DeliverySlot(**dict(slot)) for slot in stated.pop("slots", ()))
    return Fulfilment(**stated, slots=slots)


def _hours_document(hours: OpeningHours) -> JsonObject:
    week = dict(zip(DAYS, (_opening_documents(day) for day in hours.weekly), strict=True))
    return {"weekly": week, "exceptions": {day: _opening_documents(one) for day, one in hours.exceptions.items()}}


def _opening_documents(openings: Sequence[Opening]) -> list[JsonObject]:
    return [{"opens": opens, "closes": closes} for opens, closes in openings]


def _way_document(fulfilment: Fulfilment) -> JsonObject:
    """What is not as by default, so that a way is refused which would not be the same again."""
    stated = {one.name: getattr(fulfilment, one.name) for one in fields(fulfilment)}
    default = Fulfilment()
    return {name: value for name, value in stated.items() if value != getattr(default, name)}
