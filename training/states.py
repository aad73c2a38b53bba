"""Customers as serving would have seen them at a cut: what evaluation and the blend's fit hand to the pipeline."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from app.domain import CustomerFeatures, LiveEvent
from app.feature_fields import PROFILE
from app.history import SCHEMA
from app.ports import CustomerState
from training.dataset import Dataset
from training.features import CustomerTables, customer_tables
from training.split import Split

DAY_US = 86_400_000_000
LIVE_EVENT_COUNT = 100

_ARRAYS = ("bought_count", "bought_weight_28d", "bought_weight_112d", "bought_first_day", "bought_last_day")


def as_of_instant(dataset: Dataset) -> datetime:
    """The instant that the dataset is seen from; the wall clock where it knows no time."""
    return datetime.fromtimestamp(dataset.as_of_day * 86_400, UTC) if dataset.has_time else datetime.now(UTC)


def states_for(
    history: pl.LazyFrame, products: pl.LazyFrame | None, split: Split, customers: Sequence[int]
) -> dict[str, CustomerState]:
    """What serving would have known of these customers (codes) before what is to be foretold."""
    if not split.train.has_purchases:
        return states_from_views(split.train, customers)
    if split.kind == "time":
        return states_as_of(history, products, split.train, customers)
    return states_from_lines(split.train, customers)


def states_as_of(
    history: pl.LazyFrame, products: pl.LazyFrame | None, dataset: Dataset, customers: Sequence[int]
) -> dict[str, CustomerState]:
    """State per customer id as the feature store had it at the dataset's cut: no row at or after it is seen.

    The feature function itself, not Feast's historical join: the two are equal (tests/unit/test_features.py),
    and the join took 13.6 s for 2,464 customers against 1 s.
    """
    ids = [dataset.customer_ids[code] for code in customers]
    theirs = history.filter(pl.col("customer_id").is_in(ids))
    return states_from_tables(customer_tables(theirs, as_of=as_of_instant(dataset), products=products))


def states_from_lines(dataset: Dataset, customers: Sequence[int]) -> dict[str, CustomerState]:
    """State per customer id from the dataset's own lines, by the feature function that serving's rows come from."""
    return states_from_tables(customer_tables(_as_history(dataset, customers), as_of=as_of_instant(dataset)))


def states_from_tables(tables: CustomerTables) -> dict[str, CustomerState]:
    """State per customer id from the feature tables; a customer who bought nothing has empty arrays."""
    rows = tables.profile.join(tables.purchases.drop("event_timestamp"), on="customer_id", how="left")
    return {row["customer_id"]: CustomerState(features=_features(row)) for row in rows.iter_rows(named=True)}


def states_from_views(dataset: Dataset, customers: Sequence[int]) -> dict[str, CustomerState]:
    """State per customer id where nothing is ever bought: the last lines as live view events."""
    order = np.lexsort((dataset.day, dataset.customer))
    bounds = np.searchsorted(dataset.customer[order], np.arange(len(dataset.customer_ids) + 1))
    states = {}
    for code in customers:
        lines = order[bounds[code] : bounds[code + 1]][-LIVE_EVENT_COUNT:]
        events = [
            LiveEvent(str(line), "view_item", dataset.day[line] * 86_400, dataset.product_ids[dataset.item[line]])
            for line in lines.tolist()
        ]
        states[dataset.customer_ids[code]] = CustomerState(events=events)
    return states


def _as_history(dataset: Dataset, customers: Sequence[int]) -> pl.LazyFrame:
    """The lines of these customers in the history's columns, as far as features look at them."""
    lines = np.flatnonzero(np.isin(dataset.customer, np.asarray(customers, np.int32)))
    count = len(lines)
    time = pl.Series("time", (dataset.day[lines] * DAY_US).astype(np.int64)).cast(pl.Datetime("us", "UTC"))
    stores = np.array([*dataset.store_ids, None], dtype=object)
    frame = pl.DataFrame(
        {
            "type": ["purchase"] * count,
            "time": time if dataset.has_time else pl.Series([None] * count, dtype=pl.Datetime("us", "UTC")),
            "customer_id": np.array(dataset.customer_ids, dtype=object)[dataset.customer[lines]].tolist(),
            "product_id": np.array(dataset.product_ids, dtype=object)[dataset.item[lines]].tolist(),
            "basket_id": dataset.basket[lines].astype(str).tolist(),
            "quantity": dataset.quantity[lines],
            "store_id": stores[dataset.store[lines]].tolist(),
        },
        schema_overrides={
            name: SCHEMA[name] for name in ("type", "customer_id", "product_id", "basket_id", "store_id")
        },
    )
    absent = {name: pl.lit(None, dtype=dtype) for name, dtype in SCHEMA.items() if name not in frame.columns}
    return frame.with_columns(**absent).lazy()


def _features(row: dict[str, Any]) -> CustomerFeatures:
    scalars = {feature.name: row[feature.name] for feature in PROFILE if row[feature.name] is not None}
    scalars["favourite_departments"] = tuple(row["favourite_departments"] or ())
    count, weight_28d, weight_112d, first_day, last_day = (np.asarray(row[name] or (), np.float32) for name in _ARRAYS)
    return CustomerFeatures(
        as_of_at=row["event_timestamp"].timestamp(),
        scalars=scalars,
        bought_keys=np.asarray(row["bought_keys"] or (), np.float64),
        bought_count=count,
        bought_weight_28d=weight_28d,
        bought_weight_112d=weight_112d,
        bought_first_day=first_day,
        bought_last_day=last_day,
    )
