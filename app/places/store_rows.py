"""Stores as rows of a table: the same fields as in a document, its openings and ways in one line each.

`opening_hours` is as in OpenStreetMap: "Mo-Sa 07:00-23:00; Su 08:00-12:00,13:00-21:00; 2026-12-25 closed", a later part
in place of an earlier one for the same day. `ways` is "in_store; pickup lead_minutes=120 cut_off=19:00", with the
fields of the document. Both may be JSON as in the document instead, and an empty cell is the default.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import groupby

from app.domain import JsonObject
from app.places.documents import DAYS, InvalidStore, store_document, store_of_document
from app.places.stores import Store

COLUMNS = (
    *("store_id", "kind", "name", "latitude", "longitude", "time_zone", "holiday_region", "currency"),
    *("opening_hours", "ways"),
)
_TEXTS = ("store_id", "kind", "name", "time_zone", "holiday_region", "currency")
_DEGREES = ("latitude", "longitude")
_SHORT_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_PART = re.compile(r"(?P<days>[\w,-]+) +(?P<times>closed|off|\d\d:\d\d-\d\d:\d\d(?: *, *\d\d:\d\d-\d\d:\d\d)*)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")


def store_of_row(row: Mapping[str, str]) -> Store:
    """The store of a row with `COLUMNS`, of which all but store_id may be missing or empty; other cells do not matter.

    Raises InvalidStore, whose message begins with the column.
    """
    cells = {column: text for column in COLUMNS if (text := (row.get(column) or "").strip())}
    document: JsonObject = {column: cells[column] for column in _TEXTS if column in cells}
    if position := {column: _number(column, cells[column]) for column in _DEGREES if column in cells}:
        document["position"] = position
    if hours := cells.get("opening_hours"):
        document["opening_hours"] = _json("opening_hours", hours) if hours.startswith("{") else _read_hours(hours)
    if ways := cells.get("ways"):
        document["ways"] = _json("ways", ways) if ways.startswith("{") else _read_ways(ways)
    try:
        return store_of_document(document)
    except InvalidStore as error:
        raise InvalidStore(error.message.removeprefix("/position").removeprefix("/")) from None


def store_row(store: Store) -> dict[str, str]:
    """The store as a row with `COLUMNS`, from which `store_of_row` makes the same again."""
    document = store_document(store)
    row = {column: str(document.get(column, "")) for column in _TEXTS}
    row |= {column: str(document.get("position", {}).get(column, "")) for column in _DEGREES}
    row["opening_hours"] = _written_hours(document["opening_hours"]) if "opening_hours" in document else ""
    row["ways"] = _written_ways(document["ways"])
    return {column: row[column] for column in COLUMNS}


def _number(column: str, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise InvalidStore(f"{column}: write degrees as a decimal number, such as 39.1, not {text!r:.80}")
    return float(text)


def _json(column: str, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidStore(f"{column}: begins as JSON, but is none: {text!r:.80}; check its brackets") from None


def _read_hours(text: str) -> JsonObject:
    weekly: dict[str, object] = {}
    exceptions: dict[str, object] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        found = _PART.fullmatch(part)
        if found is None:
            raise InvalidStore(f"opening_hours: write such as Mo-Sa 07:00-23:00; Su closed, not {part!r:.80}")
        openings = _read_openings(found["times"])
        for days in found["days"].split(","):
            if _DATE.fullmatch(days):
                exceptions[days] = openings
            else:
                weekly |= dict.fromkeys(_read_days(days), openings)
    return {"weekly": weekly, "exceptions": exceptions}


def _read_openings(times: str) -> list[JsonObject]:
    if times in ("closed", "off"):
        return []
    pairs = (opening.strip().split("-") for opening in times.split(","))
    return [{"opens": opens, "closes": closes} for opens, closes in pairs]


def _read_days(days: str) -> Iterator[str]:
    first, _, last = days.partition("-")
    if {first, last or first} - set(_SHORT_DAYS):
        known = ", ".join(_SHORT_DAYS)
        raise InvalidStore(f"opening_hours: {days!r:.80} names no days; write of {known}, or a day as 2026-12-25")
    begin = _SHORT_DAYS.index(first)
    count = (_SHORT_DAYS.index(last or first) - begin) % 7 + 1
    return (DAYS[(begin + day) % 7] for day in range(count))


def _written_hours(hours: JsonObject) -> str:
    parts = []
    for times, days in groupby(zip(_SHORT_DAYS, DAYS, strict=True), key=lambda day: _written(hours["weekly"][day[1]])):
        named = [short for short, _ in days]
        parts.append(f"{named[0]}{'-' + named[-1] if named[1:] else ''} {times}")
    parts += [f"{day} {_written(openings)}" for day, openings in hours["exceptions"].items()]
    return "; ".join(parts)


def _written(openings: list[JsonObject]) -> str:
    return ",".join(f"{one['opens']}-{one['closes']}" for one in openings) or "closed"


def _read_ways(text: str) -> JsonObject:
    ways: JsonObject = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        way, *fields = part.split()
        if way in ways:
            raise InvalidStore(f"ways: {way!r:.80} is there twice; name each way once")
        ways[way] = dict(_read_field(field) for field in fields)
    return ways


def _read_field(field: str) -> tuple[str, object]:
    name, equals, value = field.partition("=")
    if not (equals and value):
        raise InvalidStore(f"ways: write such as pickup lead_minutes=120; ship, not {field!r:.80}")
    if not _NUMBER.fullmatch(value):
        return name, value
    return name, int(value) if value.isdecimal() else float(value)


def _written_ways(ways: JsonObject) -> str:
    """One line of words; JSON where that cannot say it: delivery slots, or no way at all."""
    if not ways or ways.get("deliver", {}).get("slots"):
        return json.dumps(ways)
    return "; ".join(
        " ".join((way, *(f"{name}={value}" for name, value in said.items() if name != "slots")))
        for way, said in ways.items()
    )
