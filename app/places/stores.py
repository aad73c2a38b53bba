"""Stores and warehouses: where they are, when they are open, and how their goods reach a customer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from math import asin, cos, radians, sin, sqrt

EARTH_RADIUS_KM = 6371.0088
EVERYWHERE = ""
"""In place of a store's id: what counts in every store that has nothing of its own."""


class StoreKind(StrEnum):
    """A warehouse is a store that customers do not enter."""

    STORE = "store"
    WAREHOUSE = "warehouse"


class Way(StrEnum):
    """How a customer gets a product."""

    IN_STORE = "in_store"
    PICKUP = "pickup"
    SHIP = "ship"
    DELIVER = "deliver"


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees of WGS 84, north and east positive."""

    latitude: float
    longitude: float


Opening = tuple[time, time]
"""Local times at which a store opens and closes; it closes by midnight (00:00) at the latest."""


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """`weekly` holds the openings of Monday to Sunday, each ascending; `exceptions` those of single days, () = closed.

    On holidays of the store's region that are no exception it is closed.
    """

    weekly: Sequence[Sequence[Opening]]
    exceptions: Mapping[date, Sequence[Opening]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeliverySlot:
    """When a delivery may come; orders are taken until `order_by_at`, and `left` more of them."""

    slot_id: str
    starts_at: datetime
    ends_at: datetime
    order_by_at: datetime
    left: int


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """How a store serves one way. Orders until `cut_off` (local) are worked on that day, later ones on the next.

    Pickup: ready `lead_minutes` of opening time after the order. Ship: with the customer on the evening of the working
    day that is `lead_working_days` after the day on which it is worked on. Deliver: in one of the `slots`, at most
    `radius_km` away where that is given (also for pickup and ship: None = anywhere).
    """

    lead_minutes: int = 0
    lead_working_days: int = 0
    cut_off: time | None = None
    radius_km: float | None = None
    slots: Sequence[DeliverySlot] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """One store or warehouse. `time_zone` is an IANA name, `holiday_region` as `DE-BY`, `US-CA` or `DE`.

    `hours` None: always open. `currency` None: the retailer's own.
    """

    store_id: str
    kind: StoreKind = StoreKind.STORE
    name: str | None = None
    position: Position | None = None
    time_zone: str = "UTC"
    holiday_region: str | None = None
    hours: OpeningHours | None = None
    ways: Mapping[Way, Fulfilment] = field(default_factory=dict)
    currency: str | None = None


def distance_km(first: Position, second: Position) -> float:
    """The great-circle distance by the haversine formula, right to 0.6 % (the earth is no sphere)."""
    latitudes = radians(first.latitude), radians(second.latitude)
    north, east = latitudes[1] - latitudes[0], radians(second.longitude - first.longitude)
    chord = sin(north / 2) ** 2 + cos(latitudes[0]) * cos(latitudes[1]) * sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))
