"""Make history rows of events by the column: what most events are, a hundred thousand a second."""

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from app.bounds import CLOCK_SKEW, CONTROL_CHARACTERS, FIRST_YEAR, ID_LENGTH, LAST_YEAR, QUANTITY_MAX
from app.domain import LOCAL, Channel
from app.history.rows import (
    AMOUNT_MINOR,
    ANONYMOUS_ID,
    BASKET_ID,
    CHANNEL,
    CURRENCY,
    CUSTOMER_ID,
    DECISION_ID,
    FROM_EVENT,
    PRODUCT_ID,
    QUANTITY,
    ROW_ID,
    SCHEMA,
    SESSION_ID,
    SOURCE,
    STORE_ID,
    TIME,
    TYPE,
)
from app.ingest.schema import EVENT_TYPES, PRODUCT_TYPES
from app.offers.terms.money import MAX_MINOR

INDEX = "position"
AT = "instant"
_IDS = {
    "id": "id",
    CUSTOMER_ID: "customer_id",
    ANONYMOUS_ID: "anonymous_id",
    PRODUCT_ID: "product_id",
    BASKET_ID: "basket_id",
    STORE_ID: "store_id",
    SESSION_ID: "session_id",
    DECISION_ID: "decision_id",
}
_TEXTS = (*_IDS.values(), "type", "time", "channel", "currency", "offer_id")
_OTHERS = ("items", "source")
"""Fields of few events, whose rows are made one by one."""


def event_columns(events: Sequence[dict[str, object]], *, now: datetime) -> pl.DataFrame:
    """The history rows of those events that are plain, with `INDEX`, their position; others have to be read singly.

    A plain event is sound, names one product or none, has no source of its own and no amount below 0. Its row is the
    one that `parse_event` and `event_rows` make of it.
    """
    present = set[str]().union(*events)
    # Most senders fill half of the fields: looking for the others in each event would take a tenth of the time.
    columns: dict[str, list[object]] = {
        name: [event.get(name) for event in events] if name in present else [None] * len(events)
        for name in (*_TEXTS, "amount_minor", *_OTHERS)
    }
    # Null is no quantity; no quantity at all is one piece.
    columns["quantity"] = [event.get("quantity", 1.0) for event in events]
    frame = pl.DataFrame(
        [pl.Series(name, _only(columns[name], str), pl.String) for name in _TEXTS]
        + [pl.Series("quantity", _only(columns["quantity"], int, float), pl.Float64)]
        + [pl.Series("amount_minor", _only(columns["amount_minor"], int), pl.Int64)]
    ).with_row_index(INDEX)
    # What is given in another type than these is for the single way to refuse, or to read.
    is_typed = [
        pl.Series([value is None or type(value) in types for value in columns[name]])
        for name, types in (*((name, (str,)) for name in _TEXTS), ("quantity", (int, float)), ("amount_minor", (int,)))
        if not set(map(type, columns[name])) <= {*types, type(None)}
    ]
    is_absent = [pl.Series([value is None for value in columns[name]], dtype=pl.Boolean) for name in _OTHERS]
    frame = frame.with_columns(pl.col(*_IDS.values(), "offer_id").str.strip_chars(), _time().alias(AT))
    plain = frame.filter(_is_plain(now), *is_typed, *is_absent)
    return plain.select(INDEX, *_history())


def _only(values: list[object], *types: type) -> list[object]:
    """The values, others than these types as absent."""
    if set(map(type, values)) <= {*types, type(None)}:
        return values
    return [value if type(value) in types else None for value in values]


def _time() -> pl.Expr:
    written = pl.col("time").str.replace("Z$", "+00:00")
    forms = ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%:z")
    return pl.coalesce(
        written.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC", exact=True) for form in forms
    )


def _is_plain(now: datetime) -> pl.Expr:
    def is_id(name: str) -> pl.Expr:
        length = pl.col(name).str.len_chars()
        fits = length.is_between(1, ID_LENGTH) & ~pl.col(name).str.contains(CONTROL_CHARACTERS)
        return fits.fill_null(True)

    latest = now.astimezone(UTC) + CLOCK_SKEW
    # Six digits of a second at most: what is finer is rounded in a way of its own.
    is_time = pl.col(AT).is_not_null() & ~pl.col("time").str.contains(r"\.\d{7}")
    in_years = pl.col(AT).dt.year().is_between(FIRST_YEAR + 1, LAST_YEAR - 1)
    quantity = pl.col("quantity")
    return pl.all_horizontal(
        *(is_id(name) for name in (*_IDS.values(), "offer_id")),
        pl.col("id").is_not_null(),
        pl.col("type").is_in(EVENT_TYPES).fill_null(False),
        is_time,
        in_years,
        pl.col(AT) <= latest,
        pl.col("channel").is_in([channel.value for channel in Channel]).fill_null(True),
        pl.col("customer_id").is_not_null() | pl.col("anonymous_id").is_not_null(),
        pl.col("product_id").is_not_null() | ~pl.col("type").is_in(list(PRODUCT_TYPES)),
        (quantity.is_finite() & quantity.is_between(0, QUANTITY_MAX)).fill_null(False),
        pl.col("amount_minor").is_between(0, MAX_MINOR).fill_null(True),
        pl.col("currency").str.contains("^[A-Z]{3}$").fill_null(True),
    )


def _history() -> list[pl.Expr]:
    at = pl.col(AT).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    made = {
        ROW_ID: pl.format("{} {} 0 {}", pl.lit(LOCAL), "id", at),
        SOURCE: pl.lit(FROM_EVENT),
        TYPE: pl.col("type"),
        TIME: pl.col(AT),
        QUANTITY: pl.col("quantity"),
        AMOUNT_MINOR: pl.col("amount_minor"),
        CURRENCY: pl.col("currency"),
        CHANNEL: pl.col("channel"),
        **{name: pl.col(field) for name, field in _IDS.items() if name != "id"},
    }
    absent = pl.lit(None)
    return [made.get(name, absent).cast(kind).alias(name) for name, kind in SCHEMA.items()]
