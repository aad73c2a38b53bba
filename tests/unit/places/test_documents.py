"""Documents of stores say all of a store, and what is wrong with one in a sentence with its place."""

import json
from copy import deepcopy
from datetime import time

import pytest
from hypothesis import given

from app.domain import JsonObject
from app.places.documents import SLOTS_MAX, InvalidStore, parse_store, store_document, store_of_document
from app.places.stores import Fulfilment, OpeningHours, Store, StoreKind, Way
from tests.unit.places.drawn_stores import DOCUMENT, stores


def changed(path: str, value: object) -> JsonObject:
    """The document with another value at the path, whose parts are keys or places in a list."""
    document = deepcopy(DOCUMENT)
    *above, last = path.split("/")
    part = document
    for key in above:
        part = part[int(key) if isinstance(part, list) else key]
    part[last] = value
    return document


def refusal(document: object) -> tuple[str | None, str]:
    with pytest.raises(InvalidStore) as refused:
        store_of_document(document)
    return refused.value.pointer, refused.value.message


def test_a_document_that_says_everything_comes_back_as_it_was() -> None:
    assert store_document(store_of_document(DOCUMENT)) == DOCUMENT


@given(stores())
def test_every_store_is_the_same_after_a_way_through_json(store: Store) -> None:
    assert store_of_document(json.loads(json.dumps(store_document(store)))) == store


def test_a_store_is_entered_and_always_open_unless_it_says_more() -> None:
    store = store_of_document({"store_id": " 330 "})
    assert store == Store("330", ways={Way.IN_STORE: Fulfilment()})


def test_a_warehouse_has_no_way_of_its_own_accord() -> None:
    assert store_of_document({"store_id": "online", "kind": "warehouse"}) == Store("online", kind=StoreKind.WAREHOUSE)


def test_openings_are_sorted_and_may_touch_and_end_at_midnight() -> None:
    day = [{"opens": "12:00", "closes": "24:00"}, {"opens": "08:00:00", "closes": "12:00"}]
    store = store_of_document(changed("opening_hours/weekly/sunday", day))
    assert store.hours is not None
    assert store.hours.weekly[6] == ((time(8), time(12)), (time(12), time(0)))


@pytest.mark.parametrize(
    ("path", "value", "pointer", "words"),
    [
        ("position/latitude", 90.5, "/position/latitude", "less than or equal to 90, not 90.5"),
        ("position/longitude", -181, "/position/longitude", "greater than or equal to -180, not -181"),
        ("position/latitude", "39.1", "/position/latitude", "a valid number, not '39.1'"),
        ("position/latitude", float("nan"), "/position/latitude", "a finite number, not nan"),
        ("position", {"latitude": 39.1}, "/position/longitude", "is required"),
        ("store_id", "", "/store_id", "at least 1 character"),
        ("name", "a\nb", "/name", "write it without control characters, not 'a\\nb'"),
        ("kind", "shop", "/kind", "'store' or 'warehouse', not 'shop'"),
        ("time_zone", "Ohio", "/time_zone", "'Ohio' is no time zone; write an IANA name"),
        ("time_zone", "../UTC", "/time_zone", "is no time zone"),
        ("holiday_region", "Ohio", "/holiday_region", "such as DE-BY, US-CA or DE, not 'Ohio'"),
        ("currency", "usd", "/currency", "three letters of ISO 4217, such as EUR, not 'usd'"),
        ("opening", {}, "/opening", "is no field of a store"),
        ("opening_hours/weekly/someday", [], "/opening_hours/weekly/someday", "is no field of a store"),
        ("opening_hours/exceptions/24.12.2026", [], "/opening_hours/exceptions/24.12.2026", "write YYYY-MM-DD"),
        ("opening_hours/exceptions/1700006400", [], "/opening_hours/exceptions/1700006400", "write YYYY-MM-DD"),
        ("opening_hours/exceptions/2026-02-30", [], "/opening_hours/exceptions/2026-02-30", "write YYYY-MM-DD"),
        ("ways/pickup/cut_off", "7pm", "/ways/pickup/cut_off", "'7pm' is no time of day; write HH:MM"),
        ("ways/pickup/cut_off", "24:00", "/ways/pickup/cut_off", "'24:00' is no time of day"),
        ("ways/pickup/lead_minutes", 1.5, "/ways/pickup/lead_minutes", "a valid integer, not 1.5"),
        ("ways/pickup/lead_minutes", -1, "/ways/pickup/lead_minutes", "greater than or equal to 0, not -1"),
        ("ways/pickup/radius_km", 0, "/ways/pickup/radius_km", "greater than 0, not 0"),
        ("ways/pickup/lead_working_days", 1, "/ways/pickup/lead_working_days", "is no field of a store"),
        ("ways/fax", {}, "/ways/fax", "is no field of a store"),
        ("kind", "warehouse", "/ways", "a warehouse has no in_store; leave it out"),
        ("ways/deliver/slots/0/ends_at", "2026-12-23T13:00:00Z", "/ways/deliver/slots/0", "'early': ends_at must be"),
        ("ways/deliver/slots/0/order_by_at", "2026-12-24T13:00:00Z", "/ways/deliver/slots/0", "'early': order_by_at"),
        ("ways/deliver/slots/0/left", -1, "/ways/deliver/slots/0/left", "greater than or equal to 0, not -1"),
        ("ways/deliver/slots/0/starts_at", "2026-12-23T13:00", "/ways/deliver/slots/0/starts_at", "timezone"),
    ],
)
def test_a_fault_is_named_with_its_place_value_and_remedy(path: str, value: object, pointer: str, words: str) -> None:
    found, message = refusal(changed(path, value))
    assert found == pointer
    assert message.startswith(f"{pointer}: ")
    assert words in message


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (["07:00-12:00", "11:59-13:00"], "two openings overlap at 11:59; write them as one"),
        (["07:00-24:00", "08:00-09:00"], "two openings overlap at 08:00"),
        (["18:00-02:00"], "18:00-02:00 ends before it begins; past midnight, write until 24:00"),
        (["07:00-07:00"], "ends before it begins"),
        (["7:00-12:00"], "'7:00' is no time of day; write HH:MM, such as 07:00"),
        (["07:00:30-12:00"], "'07:00:30' is no time of day"),
        (["25:00-26:00"], "'25:00' is no time of day"),
    ],
)
def test_openings_that_cannot_be_kept_are_refused(times: list[str], words: str) -> None:
    openings = [dict(zip(("opens", "closes"), one.split("-"), strict=True)) for one in times]
    for path in ("opening_hours/weekly/monday", "opening_hours/exceptions/2026-12-31"):
        pointer, message = refusal(changed(path, openings))
        assert pointer is not None
        assert pointer.startswith(f"/{path}")
        assert words in message


def test_slots_are_counted_and_named_once() -> None:
    [slot] = DOCUMENT["ways"]["deliver"]["slots"]
    many = [{**slot, "slot_id": str(number)} for number in range(SLOTS_MAX + 1)]
    assert len(store_of_document(changed("ways/deliver/slots", many[:-1])).ways[Way.DELIVER].slots) == SLOTS_MAX
    assert "at most 500 items" in refusal(changed("ways/deliver/slots", many))[1]
    assert "slot_id 'early' is there twice" in refusal(changed("ways/deliver/slots", [slot, slot]))[1]


@pytest.mark.parametrize("depth", [230, 300])
def test_a_bottomless_document_is_refused_like_any_other(depth: int) -> None:
    nested: object = "name"
    for _ in range(depth):
        nested = [nested]
    assert "nested too deeply" in refusal(changed("name", nested))[1]


def test_a_pointer_begins_where_the_document_is() -> None:
    with pytest.raises(InvalidStore) as refused:
        parse_store({"kind": "store"}, "/stores/3")
    assert refused.value.pointer == "/stores/3/store_id"
    assert refusal([])[0] is None


def test_a_store_that_no_document_can_say_is_not_written() -> None:
    with pytest.raises(InvalidStore, match="lead_minutes: is no field"):
        store_document(Store("330", ways={Way.SHIP: Fulfilment(lead_minutes=5)}))
    with pytest.raises(InvalidStore, match="is no time of day"):
        store_document(Store("330", hours=OpeningHours([((time(7, 0, 1), time(8)),), *[()] * 6])))
