"""By when a customer has a product, by each way that a store serves: pure arithmetic over hours, holidays and slots."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import count

from app.places.hours import is_open, is_working_day, local_day, local_instant, open_after, openings
from app.places.stores import DeliverySlot, Fulfilment, Store, StoreKind, Way

EVENING = time(20)
"""Local time by which a parcel is with the customer."""
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class FulfilmentPromise:
    """From when on a customer can have the product, at the latest; a delivery comes until `available_until_at`."""

    way: Way
    available_from_at: datetime
    available_until_at: datetime | None = None
    slot_id: str | None = None


def promise(store: Store, way: Way, *, now: datetime) -> FulfilmentPromise | None:
    """What an order of this moment is promised (UTC); None when the store does not serve it that way.

    A store that is open counts from the minute that has begun. Raises UnknownRegion.
    """
    fulfilment = _fulfilment(store, way)
    if fulfilment is None:
        return None
    if way is Way.DELIVER:
        slot = _next_slot(fulfilment, now)
        return None if slot is None else FulfilmentPromise(way, slot.starts_at, slot.ends_at, slot.slot_id)
    time_of = _with_customer_at if way is Way.SHIP else _ready_at
    available_from_at = time_of(store, fulfilment, now)
    return None if available_from_at is None else FulfilmentPromise(way, available_from_at)


def promise_and_expiry(store: Store, way: Way, *, now: datetime) -> tuple[FulfilmentPromise | None, datetime]:
    """What `promise` returns, and the first instant after `now` at which it may return something else.

    That is the end of the minute while a promise counts from now, and the end of the local day at the latest.
    Raises UnknownRegion.
    """
    return promise(store, way, now=now), min(at for at in _turning_points(store, way, now) if at > now)


def _fulfilment(store: Store, way: Way) -> Fulfilment | None:
    """How the store serves the way; what can be taken along needs neither lead nor cut-off."""
    if way is not Way.IN_STORE or way not in store.ways:
        return store.ways.get(way)
    return Fulfilment() if store.kind is StoreKind.STORE else None


def _next_slot(fulfilment: Fulfilment, now: datetime) -> DeliverySlot | None:
    """The earliest slot that takes an order now."""
    taking = [slot for slot in fulfilment.slots if slot.left > 0 and now < slot.order_by_at and now < slot.starts_at]
    return min(taking, key=lambda slot: (slot.starts_at, slot.ends_at, slot.slot_id), default=None)


def _ready_at(store: Store, fulfilment: Fulfilment, now: datetime) -> datetime | None:
    """When an order can be taken along: in opening time, after `lead_minutes` of it."""
    day = local_day(store, now)
    if now >= _taken_until(store, fulfilment.cut_off, day=day):
        begins_at = local_instant(store, day + timedelta(days=1))
    else:
        begins_at = _minute(now) if is_open(store, now) else now
    return open_after(store, begins_at, minutes=fulfilment.lead_minutes)


def _with_customer_at(store: Store, fulfilment: Fulfilment, now: datetime) -> datetime:
    """The evening of the working day on which a parcel is with the customer."""
    day = local_day(store, now)
    if now >= _taken_until(store, _cut_off(fulfilment, Way.SHIP), day=day) or not is_working_day(
        store.holiday_region, day
    ):
        day = _working_day_after(store, day)
    for _ in range(fulfilment.lead_working_days):
        day = _working_day_after(store, day)
    return local_instant(store, day, clock=EVENING)


def _cut_off(fulfilment: Fulfilment, way: Way) -> time | None:
    """Until when orders are worked on that day; what comes the same day, until the evening at the latest."""
    if way is Way.SHIP and not fulfilment.lead_working_days:
        return min(fulfilment.cut_off or EVENING, EVENING)
    return fulfilment.cut_off


def _taken_until(store: Store, cut_off: time | None, *, day: date) -> datetime:
    """The instant from which on orders are no longer worked on that day."""
    if cut_off is None:
        return local_instant(store, day + timedelta(days=1))
    return local_instant(store, day, clock=cut_off)


def _working_day_after(store: Store, day: date) -> date:
    later = (day + timedelta(days=ahead) for ahead in count(1))
    return next(day for day in later if is_working_day(store.holiday_region, day))


def _minute(at: datetime) -> datetime:
    """The minute that has begun: for as long, one answer holds."""
    return at.replace(second=0, microsecond=0)


def _turning_points(store: Store, way: Way, now: datetime) -> Iterator[datetime]:
    """Instants at which another promise may begin to hold; some may be past."""
    day = local_day(store, now)
    yield local_instant(store, day + timedelta(days=1))
    if (fulfilment := _fulfilment(store, way)) is None:
        return
    if way is Way.DELIVER:
        if slot := _next_slot(fulfilment, now):
            yield min(slot.order_by_at, slot.starts_at)
        return
    taken_until_at = _taken_until(store, _cut_off(fulfilment, way), day=day)
    yield taken_until_at
    if way is not Way.SHIP and now < taken_until_at and (opening := next(openings(store, now), None)):
        opens_at, closes_at = opening
        yield from (_minute(now) + MINUTE, closes_at) if opens_at == now else (opens_at,)
