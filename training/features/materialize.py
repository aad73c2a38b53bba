"""From history to served features: snapshots into Parquet, definitions into the registry, rows into Redis."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import redis
from feast import FeatureStore

from app.bounds import CLOCK_SKEW
from app.errors import StoreUnavailable
from app.feature_fields import (
    CUSTOMER_ACTIVITY,
    CUSTOMER_PROFILE,
    CUSTOMER_PURCHASES,
    PRODUCT_STATISTICS,
    PROFILE,
    PURCHASES,
    Feature,
)
from app.files import replace_atomically
from app.history import History
from app.ports import Progress
from app.settings import Settings
from app.stores.feast.offline import snapshots_held
from app.stores.feast.online_row import entity_key, view_fields
from app.stores.feast.push import bounded_client, feature_store
from app.stores.redis.keys import FEATURES_AS_OF, FEATURES_HISTORY
from feature_repo.repo import apply_definitions
from feature_repo.sources import table_path
from training.data.dataset import product_table
from training.features.forgetting import REMOVALS, forget_note, is_outdated, note_vanished, vanished_ids
from training.features.tables import customer_activity, customer_tables, product_statistics, table_schema

ONLINE_VIEWS = (CUSTOMER_PROFILE, CUSTOMER_PURCHASES, PRODUCT_STATISTICS)
"""Live activity is the worker's to write."""
MAX_SNAPSHOT_COUNT = 12
"""Snapshots kept in each offline table; a snapshot of 2,500 customers takes some 8 MB."""
WRITE_CHUNK_COUNT = 1000
"""Rows in one Redis pipeline: answered well within the client's one second."""


@dataclass(frozen=True, slots=True)
class MaterializeReport:
    """What was written: rows by view, and the seconds each step took."""

    as_of: datetime
    rows: Mapping[str, int]
    compute_s: float
    offline_s: float
    online_s: float


def materialize(settings: Settings, redis_url: str, *, as_of: datetime | None, progress: Progress) -> MaterializeReport:
    """Compute all features from rows before `as_of`, keep them as a snapshot and serve them from Redis.

    `as_of` defaults to the instant just after the last row. The same `as_of` again replaces its snapshot.
    The live view is snapshot only: what the worker pushed is newer than anything computed here. What was computed
    from rows that were taken back since is forgotten, and with it customers and products that had no others.
    Raises StoreUnavailable when Redis does not answer; the offline tables are complete by then.
    """
    # Somebody who is being erased would come back with what is written here: their erasure waits, and goes on from it.
    with History(settings.history_dir).kept(), snapshots_held(settings.features_dir):
        return _materialized(settings, redis_url, as_of=as_of, progress=progress)


def _materialized(
    settings: Settings, redis_url: str, *, as_of: datetime | None, progress: Progress
) -> MaterializeReport:
    # Before the rows: who takes an import back in between has the next call look again.
    removals = History(settings.history_dir).removal_version()
    history, version = History(settings.history_dir).snapshot()
    as_of = as_of if as_of is not None else default_as_of(history)
    store = feature_store(settings, redis_url)
    started = time.perf_counter()
    tables = _compute(history, settings, as_of)
    computed = time.perf_counter()
    for view, table in tables.items():
        path = table_path(settings.features_dir, view)
        if view in ONLINE_VIEWS and is_outdated(path, removals):
            note_vanished(path, table)
        keep_snapshot(path, table, removals=removals)
    apply_definitions(store, settings)
    stored = time.perf_counter()
    for view in ONLINE_VIEWS:
        write_online(store, view, tables[view], progress=progress)
        _forget_vanished(settings, redis_url, view, tables[view])
    remember_origin(redis_url, as_of, history_version=version)
    return MaterializeReport(
        as_of=as_of,
        rows={view: table.height for view, table in tables.items()},
        compute_s=computed - started,
        offline_s=stored - computed,
        online_s=time.perf_counter() - stored,
    )


def materialize_quietly(settings: Settings, redis_url: str) -> MaterializeReport:
    """The same as of the last row, in a process that has nobody to show its progress to."""
    return materialize(settings, redis_url, as_of=None, progress=lambda *_: None)


def remember_origin(redis_url: str, as_of: datetime, *, history_version: int | None) -> None:
    """Records, for metrics and gate, as of when and from which history the served features are; StoreUnavailable."""
    try:
        with bounded_client(redis_url) as client:
            # At once, so that no crash leaves the one without the other.
            known = "" if history_version is None else history_version
            client.mset({FEATURES_HISTORY: known, FEATURES_AS_OF: as_of.timestamp()})
    except redis.RedisError as error:
        raise StoreUnavailable(f"Redis did not take the features' instant: {error}") from error


def default_as_of(history: pl.LazyFrame) -> datetime:
    """The instant just after the last row that can have happened; the wall clock when no row has such a time.

    Live events count from there on: a row of the far future would switch them off until then.
    """
    now = datetime.now(UTC)
    happened = pl.col("time").filter(pl.col("time") <= now + CLOCK_SKEW)
    last = history.select(happened.max()).collect().item()
    # Features hold rows with time < as_of: the last row needs an instant after its own.
    return last + timedelta(microseconds=1) if isinstance(last, datetime) else now


def keep_snapshot(path: Path, table: pl.DataFrame, *, removals: str | None = None) -> None:
    """Add the table to the snapshots at `path`, in place of one of the same instant; the oldest go.

    All of them go when an import was taken back since, which `removals` of the history tells.
    """
    snapshots = _snapshots(path, table.schema)
    if is_outdated(path, removals):
        snapshots = snapshots.clear()
    others = snapshots.join(table.select("event_timestamp").unique(), on="event_timestamp", how="anti")
    instants = pl.concat([others["event_timestamp"], table["event_timestamp"]]).unique().sort()
    # Without implode() Polars takes a series of the column's own type in is_in() for ambiguous, and warns.
    kept = pl.concat([others, table]).filter(
        pl.col("event_timestamp").is_in(instants.tail(MAX_SNAPSHOT_COUNT).implode())
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not synced to disk: what a power cut takes can be computed again from the history.
    noted = {REMOVALS: removals or ""}
    replace_atomically(path, lambda unfinished: kept.write_parquet(unfinished, metadata=noted))


def write_online(store: FeatureStore, view: str, table: pl.DataFrame, *, progress: Progress) -> None:
    """Write a view's rows to Redis in chunks, each a step of the stage named like the view.

    Raises StoreUnavailable when Redis does not answer.

    The rows are at hand, so they go through write_to_online_store: Feast's materialize() reads all snapshots
    back from Parquet and writes them as one pipeline (docs/features.md has both times).
    """
    for start in range(0, table.height, WRITE_CHUNK_COUNT):
        chunk = table.slice(start, WRITE_CHUNK_COUNT)
        try:
            store.write_to_online_store(view, chunk.to_pandas())
        except redis.RedisError as error:
            raise StoreUnavailable(f"Redis did not take the rows of {view}: {error}") from error
        progress(view, start + chunk.height, table.height)


def _forget_vanished(settings: Settings, redis_url: str, view: str, table: pl.DataFrame) -> None:
    path, join_key = table_path(settings.features_dir, view), table.columns[0]
    ids = vanished_ids(path, table)
    # Other views of the same customer stay: what came in through the API is live.
    fields = view_fields(view)
    try:
        with bounded_client(redis_url) as client:
            for start in range(0, len(ids), WRITE_CHUNK_COUNT):
                pipeline = client.pipeline(transaction=False)
                for entity_id in ids[start : start + WRITE_CHUNK_COUNT]:
                    pipeline.hdel(entity_key(join_key, entity_id), *fields)
                pipeline.execute()
    except redis.RedisError as error:
        raise StoreUnavailable(f"Redis did not forget {len(ids)} rows of {view}: {error}") from error
    forget_note(path)


def features_as_of(store: FeatureStore, customer_ids: Sequence[str], as_of: datetime) -> pl.DataFrame:
    """The batch features of these customers from the newest snapshot at or before `as_of`, by customer_id.

    Columns: customer_id, event_timestamp (= as_of), then the fields of customer_profile and
    customer_purchases; null where no snapshot holds the customer.
    """
    entities = pl.DataFrame({"customer_id": customer_ids}, schema={"customer_id": pl.String})
    entities = entities.with_columns(event_timestamp=pl.lit(as_of).cast(pl.Datetime("us", "UTC")))
    rows = entities
    # One view at a time and joined here: Feast drops a row when all of a view's snapshots of it are later.
    for fields in (PROFILE, PURCHASES):
        rows = rows.join(_view_as_of(store, entities, fields), on="customer_id", how="left")
    return rows.sort("customer_id")


def _view_as_of(store: FeatureStore, entities: pl.DataFrame, fields: Sequence[Feature]) -> pl.DataFrame:
    names = [f"{feature.view}:{feature.name}" for feature in fields]
    found = store.get_historical_features(entity_df=entities.to_pandas(), features=names).to_arrow()
    schema = table_schema("customer_id", fields)
    del schema["event_timestamp"]
    return pl.DataFrame(found).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _compute(history: pl.LazyFrame, settings: Settings, as_of: datetime) -> dict[str, pl.DataFrame]:
    products = product_table(settings)
    customers = customer_tables(history, as_of=as_of, products=products)
    return {
        CUSTOMER_PROFILE: customers.profile,
        CUSTOMER_PURCHASES: customers.purchases,
        PRODUCT_STATISTICS: product_statistics(history, as_of=as_of, products=products),
        CUSTOMER_ACTIVITY: customer_activity(history, as_of=as_of),
    }


def _snapshots(path: Path, schema: pl.Schema) -> pl.DataFrame:
    """The snapshots kept so far; none when the file holds other fields than those of today."""
    if not path.exists() or pl.read_parquet_schema(path) != schema:
        return pl.DataFrame(schema=schema)
    return pl.read_parquet(path)
