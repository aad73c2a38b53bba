"""Stores for property tests, with all that a document may say of them, and one that has a little of everything."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from hypothesis import strategies as st

from app.domain import JsonObject
from app.places.stores import DeliverySlot, Fulfilment, Opening, OpeningHours, Position, Store, StoreKind, Way

DOCUMENT: JsonObject = {
    "store_id": "330",
    "kind": "store",
    "name": "Main Street",
    "position": {"latitude": 39.1, "longitude": -84.5},
    "time_zone": "America/New_York",
    "holiday_region": "US-OH",
    "currency": "USD",
    "opening_hours": {
        "weekly": {
            **{day: [{"opens": "07:00", "closes": "23:00"}] for day in ("monday", "tuesday", "wednesday", "thursday")},
            "friday": [{"opens": "07:00", "closes": "12:00"}, {"opens": "13:00", "closes": "00:00"}],
            "saturday": [{"opens": "07:00", "closes": "23:00"}],
            "sunday": [],
        },
        "exceptions": {"2026-12-24": [{"opens": "08:00", "closes": "14:00"}], "2026-12-25": []},
    },
    "ways": {
        "in_store": {},
        "pickup": {"lead_minutes": 120, "cut_off": "19:00", "radius_km": 30.0},
        "ship": {"lead_working_days": 2, "cut_off": "15:00"},
        "deliver": {
            "radius_km": 15.5,
            "slots": [
                {
                    "slot_id": "early",
                    "starts_at": "2026-12-23T13:00:00Z",
                    "ends_at": "2026-12-23T15:00:00Z",
                    "order_by_at": "2026-12-22T23:00:00Z",
                    "left": 8,
                }
            ],
        },
    },
}

texts = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20).filter(
    lambda text: text == text.strip()
)
radii = st.none() | st.floats(0.001, 20_000)
cut_offs = st.none() | st.builds(time, st.integers(0, 23), st.integers(0, 59))


@st.composite
def openings(draw: st.DrawFn) -> tuple[Opening, ...]:
    """Openings of one day in their order, perhaps until midnight, perhaps none."""
    minutes = sorted(draw(st.sets(st.integers(0, 1440), max_size=6)))
    times = [time(minute // 60 % 24, minute % 60) for minute in minutes]
    return tuple(list(pairwise(times))[::2])


@st.composite
def slots(draw: st.DrawFn) -> tuple[DeliverySlot, ...]:
    """Delivery slots, each with its own id."""
    found = []
    for slot_id in draw(st.lists(texts, max_size=3, unique=True)):
        starts_at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=draw(st.integers(0, 10**7)))
        ends_at = starts_at + timedelta(minutes=draw(st.integers(1, 600)))
        order_by_at = starts_at - timedelta(minutes=draw(st.integers(0, 3000)))
        found.append(DeliverySlot(slot_id, starts_at, ends_at, order_by_at, draw(st.integers(0, 100))))
    return tuple(found)


hours = st.builds(
    OpeningHours,
    st.tuples(*[openings()] * 7),
    st.dictionaries(st.dates(date(2020, 1, 1), date(2040, 1, 1)), openings(), max_size=3),
)
fulfilments = {
    Way.IN_STORE: st.just(Fulfilment()),
    Way.PICKUP: st.builds(Fulfilment, lead_minutes=st.integers(0, 600), cut_off=cut_offs, radius_km=radii),
    Way.SHIP: st.builds(Fulfilment, lead_working_days=st.integers(0, 9), cut_off=cut_offs, radius_km=radii),
    Way.DELIVER: st.builds(Fulfilment, radius_km=radii, slots=slots()),
}


@st.composite
def stores(draw: st.DrawFn) -> Store:
    """Any store or warehouse whose document is valid."""
    kind = draw(st.sampled_from(StoreKind))
    possible = [way for way in Way if kind is StoreKind.STORE or way is not Way.IN_STORE]
    ways = draw(st.sets(st.sampled_from(possible)))
    return Store(
        draw(texts),
        kind=kind,
        name=draw(st.none() | texts),
        position=draw(st.none() | st.builds(Position, st.floats(-90, 90), st.floats(-180, 180))),
        time_zone=draw(st.sampled_from(["UTC", "America/New_York", "Europe/Berlin"])),
        holiday_region=draw(st.sampled_from([None, "US-OH", "DE-BY", "DE"])),
        hours=draw(st.none() | hours),
        ways={way: draw(fulfilments[way]) for way in Way if way in ways},
        currency=draw(st.sampled_from([None, "USD", "EUR"])),
    )
