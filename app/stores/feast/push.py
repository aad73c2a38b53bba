"""From the worker's event stream to the live customer view: the one place in the app that uses Feast's SDK.

Importing feast costs seconds of CPU, so it happens in the first call that needs it, never on import.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import polars as pl
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.errors import Missing, StoreUnavailable
from app.feature_fields import ACTIVITY_PUSH, PROJECT
from app.settings import Settings
from app.stores.feast.online_row import customer_key

if TYPE_CHECKING:
    from feast import FeatureStore, RepoConfig

CONNECT_TIMEOUT_S = 0.25
ANSWER_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """A customer's whole live row; a push replaces all fields, an absent value included.

    `event_timestamp` is aware UTC, the other instants are unix seconds.
    """

    customer_id: str
    event_timestamp: datetime
    last_seen_at: float
    last_channel: str | None
    last_store_id: str | None
    event_count_24h: int
    last_purchase_at_live: float | None


class ActivityPusher:
    """Pushes live rows through Feast; opens the feature store with the first rows."""

    def __init__(self, settings: Settings, redis_url: str) -> None:
        self._settings = settings
        self._redis_url = redis_url
        self._store: FeatureStore | None = None

    def push(self, rows: Sequence[ActivityRow]) -> None:
        """Serve these rows from now on, the later of two for one customer; no rows cost nothing.

        Raises StoreUnavailable within about a second when Redis does not answer, and Missing before the first
        materialization, when there are no definitions to push to. Both leave the pusher fit for another try.
        """
        if not rows:
            return
        store = self._opened()
        columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(ActivityRow)}
        try:
            store.push(ACTIVITY_PUSH, pl.DataFrame(columns).to_pandas())  # Feast takes pandas alone.
        except redis.RedisError as error:
            raise StoreUnavailable(f"Redis did not take {len(rows)} rows of live activity: {error}") from error

    def _opened(self) -> FeatureStore:
        registry = self._settings.features_dir / "registry.db"
        if not registry.exists():
            raise Missing(f"{registry} does not exist; run `endcap train` first")
        if self._store is None:
            self._store = feature_store(self._settings, self._redis_url)
        return self._store


def feature_store(settings: Settings, redis_url: str) -> FeatureStore:
    """Feast over `settings.features_dir` and the Redis at `redis_url`; contacts no Redis yet.

    Its Redis client waits 250 ms for a connection and 1 s for an answer and never retries: Feast's own has
    no timeouts, and a frozen Redis would hold its caller for up to 40 s.
    """
    from feast import FeatureStore

    settings.features_dir.mkdir(parents=True, exist_ok=True)
    store = FeatureStore(config=_config(settings, redis_url))
    use_client(store, bounded_client(redis_url))
    return store


def use_client(store: FeatureStore, client: redis.Redis) -> None:
    """Has Feast's Redis store talk through this client; nothing else touches a private part of Feast.

    Feast 0.67 has no way to be given a client: its `_get_client` opens one where `_client` is still None, and uses what
    is there otherwise. tests/unit/stores/feast/test_push.py fails when a new version of Feast does so no more.
    """
    store.provider.online_store._client = client


def forget_online(client: redis.Redis, customer_ids: Iterable[str]) -> int:
    """Deletes these customers' rows of all views; returns how many there were. Raises StoreUnavailable."""
    pipeline = client.pipeline(transaction=False)
    for customer_id in customer_ids:
        pipeline.unlink(customer_key(customer_id))
    try:
        return sum(pipeline.execute())
    except redis.RedisError as error:
        raise StoreUnavailable(f"Redis did not forget a customer's features: {error}") from error


def bounded_client(redis_url: str) -> redis.Redis:
    """A client that gives up early: short socket timeouts, no retry."""
    return redis.Redis.from_url(
        redis_url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def connection_string(redis_url: str) -> str:
    """Feast's form of a Redis URL: `host:port,key=value,…`, timeouts included."""
    parts = urlsplit(redis_url)
    options = {
        "ssl": "true" if parts.scheme == "rediss" else "",
        "db": parts.path.lstrip("/"),
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "socket_timeout": str(ANSWER_TIMEOUT_S),
        "socket_connect_timeout": str(CONNECT_TIMEOUT_S),
    }
    given = [f"{name}={value}" for name, value in options.items() if value]
    return ",".join([f"{parts.hostname}:{parts.port or 6379}", *given])


def _config(settings: Settings, redis_url: str) -> RepoConfig:
    from feast import RepoConfig

    folder = settings.features_dir.absolute()
    return RepoConfig(
        project=PROJECT,
        provider="local",
        registry={"registry_type": "file", "path": str(folder / "registry.db")},
        # A view's rows have one writer; with deduplication a second write of one instant would be dropped.
        # Scanning the whole key space because a view was renamed could stall every reader.
        online_store={
            "type": "redis",
            "connection_string": connection_string(redis_url),
            "skip_dedup": True,
            "full_scan_for_deletion": False,
        },
        offline_store={"type": "dask"},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
