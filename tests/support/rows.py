"""History rows for tests that need no import: what a row does not name is absent."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import polars as pl

from app.history.rows import SCHEMA
from training.data.dataset import Dataset, load_interactions

ABSENT = dict.fromkeys(SCHEMA)


def history_of(rows: Iterable[Mapping[str, object]], **alike: object) -> pl.LazyFrame:
    """The rows in the history's columns; `alike` is what all of them have in common."""
    return pl.LazyFrame([{**ABSENT, **alike, **row} for row in rows], schema=SCHEMA)


def event_ids(rows: pl.LazyFrame) -> list[str]:
    """The ids of the events in these rows, sorted, and the row ids of what was imported from tables.

    An id holds no space here: it is the second part of an event's key.
    """
    keys = rows.select("row_id").collect()["row_id"].to_list()
    return sorted(key.split(" ")[1] if " " in key else key for key in keys)


def untimed(pairs: Iterable[tuple[str, str]], *, unsold: Iterable[str] = ()) -> Dataset:
    """Customer and product of purchases without time; products of `unsold` stand in the product table alone."""
    history = history_of(({"customer_id": who, "product_id": what} for who, what in pairs), type="purchase")
    return load_interactions(history, pl.DataFrame({"product_id": list(unsold)}, schema={"product_id": pl.String}))


def after(start: datetime, days: float | None) -> datetime | None:
    """The instant so many days after `start`; None = not known."""
    return None if days is None else start + timedelta(days=days)


def checkerboard(customer_count: int = 40, product_count: int = 20) -> Dataset:
    """Even customers bought even products only, odd ones odd, each all but one."""
    rows = [
        (f"{c:03}", f"{p:03}")
        for c in range(customer_count)
        for p in range(product_count)
        if c % 2 == p % 2 and p // 2 != c // 2 % (product_count // 2)
    ]
    return untimed(rows, unsold=["never sold"])
