"""Every door takes the same ids and instants: requests, event files and tables."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from pydantic import BaseModel, ValidationError

from app.bounds import Id, Instant, is_ahead, valid_text
from app.imports import values
from app.ingest.schema import RejectedEvent, parse_event
from app.offers.terms.time_zones import PlannedInstant

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Request(BaseModel):
    """One id and instants as requests and campaigns have them."""

    id: Id = "i"
    at: Instant = NOW
    planned_at: PlannedInstant = NOW


def of_request(text: str) -> str | None:
    try:
        return Request(id=text).id
    except ValidationError:
        return None


def of_event(text: str) -> str | None:
    row = {"id": "e", "type": "view_item", "time": NOW.isoformat(), "customer_id": text, "product_id": "p"}
    try:
        return parse_event(row, client="local", now=NOW)[0].customer_id
    except RejectedEvent:
        return None


def of_table(text: str) -> str | None:
    parsed = values.identifiers(pl.Series([text]), compulsory=True)
    is_faulty = any(mask.fill_null(False).any() for _, mask in parsed.faults)
    return None if is_faulty else str(parsed.values[0])


DOORS = [of_request, of_event, of_table]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (" ann\t", "ann"),
        ("\u2003ann\u00a0", "ann"),
        ("x" * 128, "x" * 128),
        ("x" * 129, None),
        ("   ", None),
        ("a\u0000b", None),
        ("a\u0085b", None),
        ("a\u007fb", None),
        ("007", "007"),
        ("é", "é"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_id_is_the_same_at_every_door(door: Callable[[str], str | None], text: str, taken: str | None) -> None:
    assert door(text) == taken


@pytest.mark.parametrize("door", [of_request, of_event])
def test_half_of_a_surrogate_pair_is_no_text(door: Callable[[str], str | None]) -> None:
    assert door("a\ud800") is None
    assert valid_text("a\ud800") == "a?"


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("1900-01-01T00:00:00Z", True),
        ("1899-12-31T23:59:59Z", False),
        ("1900-01-01T00:00:00+01:00", False),
        ("1899-12-31T23:00:00-02:00", True),
        ("2200-12-31T23:59:59Z", True),
        ("2201-01-01T00:00:00Z", False),
        ("0001-01-01T00:00:00+01:00", False),
        ("9999-12-31T23:59:59-01:00", False),
    ],
)
def test_instant_is_the_same_at_every_door(written: str, taken: bool) -> None:
    parsed = values.instants(pl.Series([written]))
    assert (not any(mask.any() for _, mask in parsed.faults)) == taken
    for field in ("at", "planned_at"):
        if taken:
            assert getattr(Request.model_validate({field: written}), field) == datetime.fromisoformat(written)
        else:
            with pytest.raises(ValidationError, match="between the years 1900 and 2200"):
                Request.model_validate({field: written})


def test_what_has_happened_is_at_most_ten_minutes_ahead() -> None:
    late = [NOW + timedelta(minutes=10), NOW + timedelta(minutes=10, seconds=1), datetime(2099, 1, 1, tzinfo=UTC)]
    assert [is_ahead(at, now=NOW) for at in late] == [False, True, True]
    of_tables = values.happened(pl.Series([at.isoformat() for at in late]), now=NOW)
    assert of_tables.faults[-1][1].to_list() == [False, True, True]
    moved = values.happened(pl.Series([late[2].isoformat()]), now=NOW, shift=timedelta(days=-40_000))
    assert not moved.faults[-1][1].any()
