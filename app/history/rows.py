"""The columns of the history, and events as rows of it."""

from collections.abc import Iterable
from datetime import UTC

import polars as pl

from app.domain import Event

ROW_ID = "row_id"
SOURCE = "source"
TYPE = "type"
TIME = "time"
CUSTOMER_ID = "customer_id"
ANONYMOUS_ID = "anonymous_id"
PRODUCT_ID = "product_id"
BASKET_ID = "basket_id"
QUANTITY = "quantity"
AMOUNT_MINOR = "amount_minor"
CURRENCY = "currency"
STORE_ID = "store_id"
CHANNEL = "channel"
DISCOUNT_MINOR = "discount_minor"
COUPON_ID = "coupon_id"
SESSION_ID = "session_id"
DECISION_ID = "decision_id"
IMPORT_ID = "import_id"

FROM_IMPORT = "import"
FROM_EVENT = "event"

SCHEMA = pl.Schema(
    {
        ROW_ID: pl.String(),
        SOURCE: pl.String(),
        TYPE: pl.String(),
        TIME: pl.Datetime("us", "UTC"),
        CUSTOMER_ID: pl.String(),
        ANONYMOUS_ID: pl.String(),
        PRODUCT_ID: pl.String(),
        BASKET_ID: pl.String(),
        QUANTITY: pl.Float32(),
        AMOUNT_MINOR: pl.Int64(),
        CURRENCY: pl.String(),
        STORE_ID: pl.String(),
        CHANNEL: pl.String(),
        DISCOUNT_MINOR: pl.Int64(),
        COUPON_ID: pl.String(),
        SESSION_ID: pl.String(),
        DECISION_ID: pl.String(),
        # Null for what came through the API. Tables made before this column are read and written as well.
        IMPORT_ID: pl.String(),
    }
)


def event_row(event: Event) -> dict[str, object]:
    """The event as one history row with the columns of `SCHEMA`; its row_id is the event's key."""
    return {
        ROW_ID: event.key,
        SOURCE: FROM_EVENT,
        TYPE: event.type,
        TIME: event.time.astimezone(UTC),
        CUSTOMER_ID: event.customer_id,
        ANONYMOUS_ID: event.anonymous_id,
        PRODUCT_ID: event.product_id,
        BASKET_ID: event.basket_id,
        QUANTITY: event.quantity,
        AMOUNT_MINOR: event.amount_minor,
        CURRENCY: event.currency,
        STORE_ID: event.store_id,
        CHANNEL: event.channel,
        DISCOUNT_MINOR: None,
        COUPON_ID: None,
        SESSION_ID: event.session_id,
        DECISION_ID: event.decision_id,
        IMPORT_ID: None,
    }


def event_rows(events: Iterable[Event]) -> pl.DataFrame:
    """The events as history rows with `SCHEMA`, in their order."""
    return pl.DataFrame([event_row(event) for event in events], schema=SCHEMA, orient="row")
