"""Rows of stores say the same as documents, in one line that people can write."""

from datetime import date, time

import pytest
from hypothesis import given

from app.places.documents import InvalidStore, store_of_document
from app.places.store_rows import COLUMNS, store_of_row, store_row
from app.places.stores import Fulfilment, Position, Store, StoreKind, Way
from tests.unit.places.drawn_stores import DOCUMENT, stores

DAY = ((time(7), time(23)),)


@given(stores())
def test_every_store_is_the_same_after_a_way_through_a_row(store: Store) -> None:
    row = store_row(store)
    assert tuple(row) == COLUMNS
    assert store_of_row(row) == store


def test_a_row_reads_as_people_write_it() -> None:
    row = {
        "store_id": "330",
        "kind": "store",
        "name": "Main Street",
        "latitude": "39.1",
        "longitude": "-84.5",
        "opening_hours": "Mo-Sa 07:00-23:00; Su 08:00-12:00, 13:00-24:00; 2026-12-25,2026-11-26 closed; We off",
        "ways": "in_store; pickup lead_minutes=120 cut_off=19:00; deliver radius_km=15.5",
        "remark": "left alone",
    }
    store = store_of_row(row)
    assert store.position == Position(39.1, -84.5)
    assert store.hours is not None
    sunday = ((time(8), time(12)), (time(13), time(0)))
    assert store.hours.weekly == (DAY, DAY, (), DAY, DAY, DAY, sunday)
    assert store.hours.exceptions == {date(2026, 12, 25): (), date(2026, 11, 26): ()}
    assert store.ways == {
        Way.IN_STORE: Fulfilment(),
        Way.PICKUP: Fulfilment(lead_minutes=120, cut_off=time(19)),
        Way.DELIVER: Fulfilment(radius_km=15.5),
    }


def test_a_row_is_written_as_people_read_it() -> None:
    document = DOCUMENT | {"ways": {way: DOCUMENT["ways"][way] for way in ("in_store", "pickup", "ship")}}
    assert store_row(store_of_document(document)) == {
        "store_id": "330",
        "kind": "store",
        "name": "Main Street",
        "latitude": "39.1",
        "longitude": "-84.5",
        "time_zone": "America/New_York",
        "holiday_region": "US-OH",
        "currency": "USD",
        "opening_hours": "Mo-Th 07:00-23:00; Fr 07:00-12:00,13:00-00:00; Sa 07:00-23:00; Su closed; "
        "2026-12-24 08:00-14:00; 2026-12-25 closed",
        "ways": "in_store; pickup lead_minutes=120 cut_off=19:00 radius_km=30.0; "
        "ship lead_working_days=2 cut_off=15:00",
    }


def test_empty_cells_are_the_defaults() -> None:
    assert store_of_row(dict.fromkeys(COLUMNS, " ") | {"store_id": "330"}) == store_of_row({"store_id": "330"})
    assert store_of_row({"store_id": "330"}) == Store("330", ways={Way.IN_STORE: Fulfilment()})
    assert store_of_row({"store_id": "online", "kind": "warehouse"}) == Store("online", kind=StoreKind.WAREHOUSE)


def test_days_may_run_over_the_end_of_the_week() -> None:
    hours = store_of_row({"store_id": "330", "opening_hours": "Sa-Mo 07:00-23:00"}).hours
    assert hours is not None
    assert hours.weekly == (DAY, (), (), (), (), DAY, DAY)


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("store_id", "", "store_id: is required"),
        ("kind", "shop", "kind: Input should be 'store' or 'warehouse', not 'shop'"),
        ("latitude", "39,1", "latitude: write degrees as a decimal number, such as 39.1, not '39,1'"),
        ("latitude", "390.1", "latitude: Input should be less than or equal to 90, not 390.1"),
        ("latitude", "", "latitude: is required"),
        ("time_zone", "Ohio", "time_zone: 'Ohio' is no time zone; write an IANA name"),
        ("opening_hours", "7 to 23", "opening_hours: write such as Mo-Sa 07:00-23:00; Su closed, not '7 to 23'"),
        ("opening_hours", "Mo-Sa 7:00-23:00", "opening_hours: write such as"),
        ("opening_hours", "Di-Sa 07:00-23:00", "opening_hours: 'Di-Sa' names no days; write of Mo, Tu"),
        ("opening_hours", "PH off", "opening_hours: 'PH' names no days"),
        ("opening_hours", "Mo 07:00-09:00,08:00-23:00", "opening_hours/weekly/monday: two openings overlap at 08:00"),
        ("opening_hours", "2026-13-25 closed", "opening_hours/exceptions/2026-13-25: '2026-13-25' is no day"),
        ("opening_hours", '{"weekly": ', "opening_hours: begins as JSON, but is none"),
        ("ways", "fax", "ways/fax: is no field of a store"),
        ("ways", "pickup 120", "ways: write such as pickup lead_minutes=120; ship, not '120'"),
        ("ways", "pickup lead_minutes=two", "ways/pickup/lead_minutes: Input should be a valid integer, not 'two'"),
        ("ways", "pickup cut_off=19", "ways/pickup/cut_off: 19 is no time of day; write HH:MM"),
        ("ways", "ship; ship", "ways: 'ship' is there twice; name each way once"),
        ("ways", '{"ship": {}', "ways: begins as JSON, but is none"),
    ],
)
def test_a_fault_is_named_with_its_column_value_and_remedy(column: str, cell: str, words: str) -> None:
    row = {"store_id": "330", "latitude": "39.1", "longitude": "-84.5"} | {column: cell}
    with pytest.raises(InvalidStore) as refused:
        store_of_row(row)
    assert refused.value.message.startswith(words)
    assert refused.value.pointer is None
