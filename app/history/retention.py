"""Which rows of the history are kept no longer."""

from datetime import datetime, timedelta

import polars as pl

from app.domain import PURCHASE, REFUND
from app.history.rows import TIME, TYPE


def expired(rows: pl.LazyFrame, trades: timedelta, others: timedelta) -> str | None:
    """Purchases and refunds, and all other events, that are so much older than the newest row, as Delta's predicate.

    None where there is no such row.
    """
    newest = rows.select(pl.col(TIME).max()).collect().item()
    if newest is None:
        return None
    is_trade = pl.col(TYPE).is_in([PURCHASE, REFUND])
    is_old = pl.col(TIME) < pl.when(is_trade).then(newest - trades).otherwise(newest - others)
    if not rows.filter(is_old).head(1).collect().height:
        return None
    types = f"{TYPE} IN ('{PURCHASE}', '{REFUND}')"
    kinds = ((types, newest - trades), (f"NOT {types}", newest - others))
    return " OR ".join(f"({kind} AND {TIME} < {_instant(before)})" for kind, before in kinds)


def _instant(at: datetime) -> str:
    # A literal without a type would be in nanoseconds, which Delta compares with no column of ours.
    return f"""arrow_cast('{at:%Y-%m-%dT%H:%M:%S}', 'Timestamp(Microsecond, Some("UTC"))')"""
