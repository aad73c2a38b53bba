"""Events read by the column are what they are when they are read one by one; what is odd is left for that."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.domain import LOCAL
from app.errors import BadInput
from app.history.rows import event_rows
from app.imports.events.columns import INDEX, event_columns
from app.ingest.schema import EVENT_TYPES, parse_event

NOW = datetime(2026, 11, 29, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    "id": "e1", "type": "purchase", "time": "2026-11-01T10:00:00.5+01:00", "channel": "web", "customer_id": "c",
    "product_id": " p ", "basket_id": "b", "quantity": 2, "amount_minor": 199, "currency": "EUR", "store_id": "s",
    "session_id": "v", "decision_id": "d", "offer_id": "o",
}  # fmt: skip
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2_000_000), st.floats(allow_nan=False), st.text(max_size=4),
    st.sampled_from(["", " ", "a\tb", "x" * 129, "2026-11-01T10:00:00Z", "2026-11-01", "1899-01-01T00:00:00Z",
                     "2030-01-01T00:00:00Z", "2026-11-01T10:00:00.1234567Z", "2026-11-01T10:00:00", "2026-11-01T10:00Z",
                     "2026-11-01 10:00:00+00:00", "usd", "fax", "a/b", [], {}, [{"product_id": "p"}]]),
)  # fmt: skip
EVENTS = st.builds(
    lambda changed, kind: PLAIN | {"type": kind} | changed,
    st.dictionaries(st.sampled_from([*PLAIN, "source", "items"]), ODD, max_size=3),
    st.sampled_from(EVENT_TYPES),
)


def one_by_one(event: dict[str, Any]) -> pl.DataFrame | None:
    """The rows that the API's own check makes of the event; None where it refuses it."""
    try:
        return event_rows(parse_event(event, client=LOCAL, now=NOW))
    except BadInput:
        return None


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=8))
def test_a_row_by_the_column_is_the_row_of_its_event(events: list[dict[str, Any]]) -> None:
    found = event_columns(events, now=NOW)
    for row in found.iter_slices(1):
        expected = one_by_one(events[row[INDEX][0]])
        assert expected is not None
        assert row.drop(INDEX).equals(expected)


def test_what_most_events_are_is_read_by_the_column() -> None:
    events = [
        PLAIN,
        {"id": "e", "type": "view_item", "time": "2026-11-01T10:00:00Z", "anonymous_id": "a", "product_id": "p"},
    ]
    assert event_columns(events, now=NOW)[INDEX].to_list() == [0, 1]


def test_nothing_is_made_of_no_events() -> None:
    assert event_columns([], now=NOW).is_empty()
