"""Features forget what was taken back out of the history, and nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import redis
from polars.testing import assert_frame_equal

from app.customers.keys import PersonKeys
from app.errors import StoreUnavailable
from app.files import try_turn
from app.history import History
from app.history.table import FILES_LOCK, Replacement
from app.settings import Settings
from app.stores.feast.online_row import CUSTOMER_FIELDS, customer_key, decode_customer, entity_key
from app.stores.feast.push import ActivityPusher, ActivityRow
from feature_repo.sources import table_path
from tests.support.rows import history_of
from training.features.forgetting import is_outdated
from training.features.materialize import materialize

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
VIEWS = ("customer_profile", "customer_purchases", "product_statistics", "customer_activity")


def _bring(settings: Settings, import_id: str, *pairs: tuple[str, str]) -> None:
    rows = history_of(
        ({"row_id": f"{who} {what}", "customer_id": who, "product_id": what} for who, what in pairs),
        time=AS_OF - timedelta(days=3),
        type="purchase",
        quantity=1.0,
    ).collect()
    History(settings.history_dir).append_absent(lambda _: [rows], import_id=import_id)


def _nothing(_: Sequence[str]) -> Replacement:
    return Replacement([], [])


def _materialize(settings: Settings, redis_url: str, *, as_of: datetime | None = None) -> None:
    materialize(settings, redis_url, as_of=as_of, progress=lambda *_: None)


def _is_served(redis_url: str, customer_id: str) -> bool:
    with redis.Redis.from_url(redis_url) as client:
        return decode_customer(client.hmget(customer_key(customer_id), CUSTOMER_FIELDS)) is not None


def test_what_was_taken_back_is_forgotten_and_live_activity_is_not(valkey: str, tmp_path: Path) -> None:
    settings, clean = Settings(data_dir=tmp_path / "lived"), Settings(data_dir=tmp_path / "clean")
    _bring(settings, "wrong", ("ghost", "phantom"), ("gone", "tea"))
    _bring(settings, "right", ("ann", "tea"))
    _materialize(settings, valkey, as_of=AS_OF)
    _materialize(settings, valkey)
    at = AS_OF.timestamp()
    live = ActivityRow(
        "gone", AS_OF, at, last_channel="app", last_store_id=None, event_count_24h=1, last_purchase_at_live=None
    )
    ActivityPusher(settings, valkey).push([live])
    History(settings.history_dir).undo("wrong", _nothing)
    _materialize(settings, valkey)
    assert [_is_served(valkey, name) for name in ("ghost", "gone", "ann")] == [False, False, True]
    with redis.Redis.from_url(valkey) as client:
        assert not client.exists(entity_key("product_id", "phantom"))
        assert client.exists(entity_key("product_id", "tea"))
        assert client.exists(customer_key("gone"))
    _bring(clean, "right", ("ann", "tea"))
    _materialize(clean, valkey)
    for view in VIEWS:
        lived, expected = (pl.read_parquet(table_path(one.features_dir, view)) for one in (settings, clean))
        assert_frame_equal(lived, expected)
    assert not list(settings.features_dir.glob("*.vanished.parquet"))


def test_an_erased_customer_is_forgotten_once_features_are_made_again(valkey: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    _bring(settings, "a", ("gone", "tea"), ("ann", "tea"))
    _materialize(settings, valkey)
    History(settings.history_dir).erase(PersonKeys(frozenset({"gone"})))
    _materialize(settings, valkey)
    assert [_is_served(valkey, name) for name in ("gone", "ann")] == [False, True]
    assert all("gone" not in path.read_bytes().decode(errors="replace") for path in settings.features_dir.iterdir())


def test_an_erasure_waits_until_features_are_made(valkey: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    _bring(settings, "a", ("gone", "tea"), ("ann", "tea"))
    seen = []

    def look(*_: object) -> None:
        with try_turn(settings.history_dir / FILES_LOCK) as is_free:
            seen.append(is_free)

    materialize(settings, valkey, as_of=None, progress=look)
    assert set(seen) == {False}


def test_earlier_snapshots_stay_while_nothing_is_taken_back(valkey: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    _bring(settings, "a", ("ann", "tea"))
    for as_of in (AS_OF, AS_OF + timedelta(days=1)):
        _bring(settings, f"{as_of}", ("bob", "tea"))
        _materialize(settings, valkey, as_of=as_of)
    assert pl.read_parquet(table_path(settings.features_dir, VIEWS[0]))["event_timestamp"].n_unique() == 2


def test_redis_that_was_away_forgets_later(valkey: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    _bring(settings, "wrong", ("ghost", "phantom"))
    _bring(settings, "right", ("ann", "tea"))
    _materialize(settings, valkey)
    History(settings.history_dir).undo("wrong", _nothing)
    with pytest.raises(StoreUnavailable):
        _materialize(settings, "redis://127.0.0.1:1/0")
    assert _is_served(valkey, "ghost")
    _materialize(settings, valkey)
    assert not _is_served(valkey, "ghost")


def test_snapshots_from_before_removals_were_noted_count_while_there_was_none(tmp_path: Path) -> None:
    path = tmp_path / "view.parquet"
    assert not is_outdated(path, "table-1")
    pl.DataFrame({"customer_id": ["c"]}).write_parquet(path)
    assert not is_outdated(path, None)
    assert not is_outdated(path, "table-0")
    assert is_outdated(path, "table-1")
