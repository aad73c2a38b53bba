"""Served features compared with the same features computed again: what training and serving must agree on."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl
import redis

from app.domain import CustomerFeatures
from app.errors import StoreUnavailable
from app.feature_fields import NOT_SERVED, PROFILE, PURCHASES, FieldType
from app.history import History
from app.history.rows import CUSTOMER_ID
from app.settings import Settings
from app.stores.feast.online_row import decode_customer
from app.stores.feast.push import bounded_client
from app.stores.redis.breaker import Breaker
from app.stores.redis.customers.reading import read_features
from app.stores.redis.keys import FEATURES_AS_OF, FEATURES_HISTORY
from app.stores.redis.pipelined import PipelinedRedis
from training.data.dataset import product_table
from training.features.tables import customer_tables, rows_before
from training.queries.states import states_from_tables

SAMPLE_COUNT = 1000
READ_TIMEOUT_S = 5.0

Differences = Mapping[str, tuple[float, str]]
"""Per customer the largest difference and the field it is in."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The instant that the served features look at, and the history's version they come from (None = unknown)."""

    as_of: datetime
    history_version: int | None


def origin_of(redis_url: str) -> Origin | None:
    """Where the served features come from; None when none were ever written. Raises StoreUnavailable."""
    try:
        with bounded_client(redis_url) as client:
            as_of, version = client.get(FEATURES_AS_OF), client.get(FEATURES_HISTORY)
    except redis.RedisError as error:
        raise StoreUnavailable(f"Redis did not give the features' instant: {error}") from error
    if as_of is None:
        return None
    return Origin(datetime.fromtimestamp(float(as_of), UTC), int(version) if version else None)


def feature_differences(settings: Settings, redis_url: str, origin: Origin, *, seed: int) -> Differences:
    """For 1,000 customers at random how far the served row is from one computed now as of the same instant.

    From the history as it was then, so that rows which arrived since do not count; from that of today once Delta has
    dropped it. Raises StoreUnavailable.
    """
    with History(settings.history_dir).kept():
        offline = _recomputed(settings, origin, seed=seed)
    online = asyncio.run(_served(redis_url, list(offline)))
    return {name: largest_difference(online[name], row) for name, row in offline.items()}


def largest_difference(online: CustomerFeatures | None, offline: CustomerFeatures) -> tuple[float, str]:
    """The largest difference between two rows and its field; infinite for what is missing or of another kind.

    Single-precision values are compared relative to their size once that is above 1, all others as they are.
    """
    if online is None:
        return np.inf, "the whole row"
    try:
        found = [(abs(online.as_of_at - offline.as_of_at), "event_timestamp")]
        found += [(_scalar_difference(online, offline, one.name, one.kind), one.name) for one in PROFILE]
        found += _purchase_differences(online, offline)
    except ValueError as error:
        return np.inf, str(error)
    return max(((np.inf if np.isnan(size) else size, name) for size, name in found), key=lambda pair: pair[0])


def _recomputed(settings: Settings, origin: Origin, *, seed: int) -> dict[str, CustomerFeatures]:
    history = History(settings.history_dir)
    then = None if origin.history_version is None else history.scan_at(origin.history_version)
    rows = rows_before(history.scan() if then is None else then, origin.as_of)
    # Sorted, because unique() gives any order and the seed draws positions.
    ids = rows.select(CUSTOMER_ID).drop_nulls().unique().collect()[CUSTOMER_ID].sort().to_list()
    if len(ids) > SAMPLE_COUNT:
        ids = sorted(np.random.default_rng(seed).choice(np.array(ids, object), SAMPLE_COUNT, replace=False).tolist())
    theirs = rows.filter(pl.col(CUSTOMER_ID).is_in(ids))
    tables = customer_tables(theirs, as_of=origin.as_of, products=product_table(settings))
    states = states_from_tables(tables)
    return {name: state.features for name, state in states.items() if state.features is not None}


async def _served(redis_url: str, customer_ids: Sequence[str]) -> dict[str, CustomerFeatures | None]:
    """The rows as a decision reads them, one person after the other."""
    connection = PipelinedRedis(redis_url)
    breaker = Breaker(in_flight_count=1)
    found = {}
    try:
        for customer_id in customer_ids:
            command = read_features(customer_id)
            ask = partial(connection.ask, command, 1)
            row, *_ = await breaker.call(ask, timeout_s=READ_TIMEOUT_S)
            found[customer_id] = decode_customer(row)
    finally:
        await connection.aclose()
    return found


def _scalar_difference(online: CustomerFeatures, offline: CustomerFeatures, name: str, kind: FieldType) -> float:
    ours, theirs = online.scalars.get(name, ()), offline.scalars.get(name, ())
    if isinstance(ours, float | int) and isinstance(theirs, float | int):
        return abs(ours - theirs) / (max(1.0, abs(theirs)) if kind is FieldType.F32 else 1.0)
    return 0.0 if ours == theirs else np.inf


def _purchase_differences(online: CustomerFeatures, offline: CustomerFeatures) -> list[tuple[float, str]]:
    ours, theirs = np.argsort(online.bought_keys), np.argsort(offline.bought_keys)
    if not np.array_equal(online.bought_keys[ours], offline.bought_keys[theirs]):
        return [(np.inf, "bought_keys")]
    names = [one.name for one in PURCHASES if one.name not in NOT_SERVED and one.name != "bought_keys"]
    return [(_array_difference(getattr(online, name)[ours], getattr(offline, name)[theirs]), name) for name in names]


def _array_difference(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float:
    size = np.maximum(1.0, np.abs(theirs.astype(np.float64)))
    return float((np.abs(ours.astype(np.float64) - theirs) / size).max(initial=0.0))
