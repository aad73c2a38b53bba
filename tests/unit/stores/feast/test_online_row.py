"""The direct reader against Feast's own, field by field; and what training and the worker write."""

import random
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import redis
from feast import FeatureStore
from polars.testing import assert_frame_equal

from app.domain import CustomerFeatures
from app.errors import Missing, StoreUnavailable
from app.feature_fields import (
    ACTIVITY,
    CUSTOMER_ACTIVITY,
    CUSTOMER_FEATURES,
    FEATURES,
    NOT_SERVED,
    PROFILE,
    PURCHASES,
    product_key,
)
from app.history import History
from app.history.rows import SCHEMA
from app.settings import Settings
from app.stores.feast.online_row import CUSTOMER_FIELDS, customer_key, decode_customer, timestamp_field
from app.stores.feast.push import ActivityPusher, ActivityRow, connection_string, feature_store
from training.features.materialize import MAX_SNAPSHOT_COUNT, features_as_of, keep_snapshot, materialize
from training.features.tables import customer_tables

AS_OF = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
EARLIER = AS_OF - timedelta(days=30)
CUSTOMERS = [f"c{number}" for number in range(250)] + ["Zoë", "客户-7", "a b:c", "x" * 300, "🛒"]
LOOKER = "only-looked"
LATE_BUYER = "looked-then-bought"


def rows_of(customer_id: str, chance: random.Random) -> Iterator[dict[str, object]]:
    for _ in range(chance.randint(1, 60)):
        yield {
            "type": "purchase",
            "customer_id": customer_id,
            "product_id": chance.choice(["milk", "Brötchen", "茶", f"p{chance.randint(1, 300)}"]),
            "time": AS_OF - timedelta(seconds=chance.randint(1, 80 * 86_400)),
            "quantity": 1.0,
            "amount_minor": chance.choice([None, chance.randint(-50, 2**40)]),
            "store_id": chance.choice([None, "s1", "Süd"]),
            "channel": chance.choice([None, "store", "web"]),
        }


def sample_history() -> pl.DataFrame:
    chance = random.Random(7)
    rows = [row for customer_id in CUSTOMERS for row in rows_of(customer_id, chance)]
    looked = {"type": "view_item", "product_id": "milk", "time": AS_OF - timedelta(days=40)}
    rows += [{**looked, "customer_id": name} for name in (LOOKER, LATE_BUYER)]
    rows.append({**looked, "customer_id": LATE_BUYER, "type": "purchase", "time": AS_OF - timedelta(days=5)})
    numbered = [{"row_id": f"r{number}", "source": "import", **row} for number, row in enumerate(rows)]
    return pl.DataFrame(numbered, schema=SCHEMA)


@dataclass(frozen=True, slots=True)
class Served:
    """A feature store with two snapshots, the newer one online."""

    settings: Settings
    redis_url: str
    store: FeatureStore
    history: pl.DataFrame

    def read(self, customer_id: str) -> CustomerFeatures | None:
        with redis.Redis.from_url(self.redis_url) as client:
            return decode_customer(client.hmget(customer_key(customer_id), CUSTOMER_FIELDS))


@pytest.fixture(scope="module")
def served(valkey_server: str, tmp_path_factory: pytest.TempPathFactory) -> Served:
    # Database 1, so that tests which empty database 0 leave this one alone.
    redis_url = valkey_server.removesuffix("/0") + "/1"
    settings = Settings(data_dir=tmp_path_factory.mktemp("served"))
    history = sample_history()
    History(settings.history_dir).append_new(history)
    for as_of in (EARLIER, AS_OF):
        materialize(settings, redis_url, as_of=as_of, progress=lambda *_: None)
    return Served(settings, redis_url, feature_store(settings, redis_url), history)


def sdk_rows(store: FeatureStore, customer_ids: list[str]) -> list[dict[str, object]]:
    service = store.get_feature_service("decision_v1")
    answer = store.get_online_features(service, [{"customer_id": name} for name in customer_ids]).to_dict()
    served = {name: column for name, column in answer.items() if name not in NOT_SERVED}
    return [{name: column[at] for name, column in served.items()} for at in range(len(customer_ids))]


def as_sdk_row(features: CustomerFeatures) -> dict[str, object]:
    """The same row in the SDK's terms: lists, None for null."""
    row: dict[str, object] = {}
    for field in (*PROFILE, *ACTIVITY):
        value = features.scalars.get(field.name)
        row[field.name] = list(value) if isinstance(value, tuple) else value
    for field in PURCHASES:
        if field.name not in NOT_SERVED:
            row[field.name] = getattr(features, field.name).tolist()
    return row


def test_direct_reader_equals_sdk_field_by_field(served: Served) -> None:
    for expected in sdk_rows(served.store, CUSTOMERS):
        features = served.read(str(expected.pop("customer_id")))
        assert features is not None
        assert as_sdk_row(features) == expected


def test_direct_reader_equals_sdk_after_a_push(served: Served) -> None:
    pusher = ActivityPusher(served.settings, served.redis_url)
    pusher.push([activity("c1", last_channel="app"), activity("Zoë", last_channel=None, last_purchase_at_live=None)])
    for expected in sdk_rows(served.store, ["c1", "Zoë"]):
        features = served.read(str(expected.pop("customer_id")))
        assert features is not None
        assert as_sdk_row(features) == expected
        assert features.scalars["event_count_24h"] == 3


def test_served_row_is_the_computed_row_exactly(served: Served) -> None:
    tables = customer_tables(served.history.lazy(), as_of=AS_OF)
    for computed in tables.purchases.join(tables.profile, on="customer_id").iter_rows(named=True):
        features = served.read(computed["customer_id"])
        assert features is not None
        assert features.bought_keys.tolist() == [product_key(name) for name in computed["bought_product_ids"]]
        assert features.bought_weight_28d.dtype == np.float32
        assert features.bought_weight_28d.tolist() == computed["bought_weight_28d"]
        assert features.scalars.get("spend_minor") == computed["spend_minor"]
        assert features.scalars["repeat_share"] == computed["repeat_share"]


def test_as_of_is_the_older_time_of_the_batch_views(served: Served) -> None:
    features = served.read("c0")
    assert features is not None
    assert features.as_of_at == AS_OF.timestamp()
    values: list[bytes | None] = [
        b"\x08\x90\x4e",
        b"\x08\x64\x10\x80\xca\xb5\xee\x01",
        *[None] * (len(CUSTOMER_FIELDS) - 2),
    ]
    older = decode_customer(values)
    assert older is not None
    assert older.as_of_at == 100.5


def test_customer_who_only_looked_reads_as_empty_purchases(served: Served) -> None:
    features = served.read(LOOKER)
    assert features is not None
    assert features.bought_keys.tolist() == []
    assert features.bought_count.tolist() == []
    assert features.scalars["basket_count"] == 0
    assert features.scalars["favourite_departments"] == ()
    assert "spend_minor" not in features.scalars


def test_unknown_customer_reads_as_none(served: Served) -> None:
    assert served.read("nobody") is None


def test_customer_with_live_activity_alone_reads_as_none(served: Served) -> None:
    ActivityPusher(served.settings, served.redis_url).push([activity("new-today")])
    assert served.read("new-today") is None


def test_one_customers_id_is_no_prefix_of_anothers() -> None:
    assert customer_key("1") != customer_key("11")
    assert len({customer_key(name) for name in CUSTOMERS}) == len(CUSTOMERS)


def test_every_field_has_its_own_place_in_the_hash() -> None:
    assert len(set(CUSTOMER_FIELDS)) == len(CUSTOMER_FIELDS) == len(CUSTOMER_FEATURES) - len(NOT_SERVED) + 2


def decoded_whole(values: list[bytes | None]) -> None:
    row = decode_customer(values)
    assert row is not None
    dict(row.scalars)


def test_bytes_that_are_no_feast_values_are_refused() -> None:
    good = [b"\x08\x64", *[None] * (len(CUSTOMER_FIELDS) - 1)]
    for junk in (b"\xff\x01", b"\x29\x00", b"\x62\x05\x0a\x09ab"):
        for position in (2, 3, 2 + len(PURCHASES)):
            values: list[bytes | None] = list(good)
            values[position] = junk
            with pytest.raises(ValueError, match="materialize the features again"):
                decoded_whole(values)


def test_reader_does_not_import_the_sdk() -> None:
    code = "import sys, app.stores.feast.online_row, app.stores.feast.push; sys.exit('feast' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def activity(customer_id: str, **given: object) -> ActivityRow:
    row: dict[str, object] = {
        "last_seen_at": AS_OF.timestamp(),
        "last_channel": "web",
        "last_store_id": "s1",
        "event_count_24h": 3,
        "last_purchase_at_live": 1.5e9,
        **given,
    }
    return ActivityRow(customer_id=customer_id, event_timestamp=AS_OF, **row)  # type: ignore[arg-type]  # fields of ActivityRow


def test_push_replaces_the_row_even_at_the_same_instant(served: Served) -> None:
    pusher = ActivityPusher(served.settings, served.redis_url)
    for count in (1, 2):
        pusher.push([activity("c2", event_count_24h=count)])
    features = served.read("c2")
    assert features is not None
    assert features.scalars["event_count_24h"] == 2


def test_push_of_no_rows_does_nothing(tmp_path: Path) -> None:
    ActivityPusher(Settings(data_dir=tmp_path), "redis://127.0.0.1:1/0").push([])


def test_push_before_the_first_materialization_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="endcap train"):
        ActivityPusher(Settings(data_dir=tmp_path), "redis://127.0.0.1:1/0").push([activity("c1")])


def test_push_to_a_stopped_redis_is_refused_by_name(served: Served) -> None:
    with pytest.raises(StoreUnavailable):
        ActivityPusher(served.settings, "redis://127.0.0.1:1/0").push([activity("c1")])


def test_push_to_a_frozen_redis_gives_up(served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        url = f"redis://127.0.0.1:{frozen.getsockname()[1]}/0"
        with pytest.raises(StoreUnavailable):
            ActivityPusher(served.settings, url).push([activity("c1")])


def test_training_reads_the_features_that_were_served(served: Served) -> None:
    tables = customer_tables(served.history.lazy(), as_of=AS_OF)
    expected = tables.profile.join(tables.purchases.drop("event_timestamp"), on="customer_id").sort("customer_id")
    actual = features_as_of(served.store, CUSTOMERS, AS_OF)
    assert_frame_equal(actual, expected.filter(pl.col("customer_id").is_in(CUSTOMERS)), check_exact=True)


def test_training_never_sees_a_later_snapshot(served: Served) -> None:
    between = AS_OF - timedelta(microseconds=1)
    then = features_as_of(served.store, CUSTOMERS, between).drop("event_timestamp")
    expected = features_as_of(served.store, CUSTOMERS, EARLIER).drop("event_timestamp")
    assert_frame_equal(then, expected, check_exact=True)
    tables = customer_tables(served.history.lazy(), as_of=EARLIER)
    counts = dict(tables.profile.select("customer_id", "line_count").iter_rows())
    assert dict(then.select("customer_id", "line_count").iter_rows()) == {name: counts.get(name) for name in CUSTOMERS}


def test_training_before_any_snapshot_knows_nothing(served: Served) -> None:
    rows = features_as_of(served.store, ["c0"], EARLIER - timedelta(days=1))
    assert rows["line_count"].to_list() == [None]
    assert rows["bought_product_ids"].to_list() == [None]


def test_training_keeps_the_profile_of_who_bought_only_later(served: Served) -> None:
    rows = features_as_of(served.store, [LATE_BUYER, LOOKER], EARLIER)
    assert rows["basket_count"].to_list() == [0, 0]
    assert rows["bought_product_ids"].to_list() == [None, None]


def test_registry_holds_every_field_with_unit_and_owner(served: Served) -> None:
    registered = {
        (view.name, field.name): field for view in served.store.list_feature_views() for field in view.features
    }
    assert set(registered) == {(feature.view, feature.name) for feature in FEATURES}
    for feature in FEATURES:
        field = registered[feature.view, feature.name]
        assert field.description.endswith(f"[{feature.unit}]")
        assert field.tags["owner"] == feature.owner


def test_materializing_leaves_live_activity_alone(served: Served) -> None:
    ActivityPusher(served.settings, served.redis_url).push([activity("c3", event_count_24h=41)])
    materialize(served.settings, served.redis_url, as_of=AS_OF, progress=lambda *_: None)
    features = served.read("c3")
    assert features is not None
    assert features.scalars["event_count_24h"] == 41


def test_materialize_defaults_to_just_after_the_last_row(valkey: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    rows = sample_history().head(20)
    History(settings.history_dir).append_new(rows)
    seen: list[tuple[str, int, int]] = []
    report = materialize(settings, valkey, as_of=None, progress=lambda *step: seen.append(step))
    last = rows["time"].max()
    assert isinstance(last, datetime)
    assert report.as_of == last + timedelta(microseconds=1)
    assert [step[0] for step in seen] == ["customer_profile", "customer_purchases", "product_statistics"]
    assert all(done == total == report.rows[view] for view, done, total in seen)


def test_materialize_without_redis_fails_by_name(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    History(settings.history_dir).append_new(sample_history().head(20))
    with pytest.raises(StoreUnavailable):
        materialize(settings, "redis://127.0.0.1:1/0", as_of=None, progress=lambda *_: None)


def snapshot(as_of: datetime, value: int) -> pl.DataFrame:
    return pl.DataFrame({"customer_id": ["c"], "event_timestamp": [as_of], "value": [value]})


def test_the_same_snapshot_again_replaces_the_first(tmp_path: Path) -> None:
    path = tmp_path / "view.parquet"
    for as_of, value in ((EARLIER, 1), (AS_OF, 2), (EARLIER, 3)):
        keep_snapshot(path, snapshot(as_of, value))
    assert sorted(pl.read_parquet(path).select("event_timestamp", "value").rows()) == [
        (EARLIER, 3),
        (AS_OF, 2),
    ]


def test_only_the_newest_snapshots_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "view.parquet"
    for day in range(MAX_SNAPSHOT_COUNT + 2):
        keep_snapshot(path, snapshot(EARLIER + timedelta(days=day), day))
    assert sorted(pl.read_parquet(path)["value"]) == list(range(2, MAX_SNAPSHOT_COUNT + 2))


def test_snapshots_with_other_fields_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "view.parquet"
    keep_snapshot(path, snapshot(EARLIER, 1))
    keep_snapshot(path, snapshot(AS_OF, 2).rename({"value": "other"}))
    assert pl.read_parquet(path)["other"].to_list() == [2]


def test_redis_url_becomes_feasts_connection_string() -> None:
    assert connection_string("rediss://me:p%40ss@store:6380/2").split(",") == [
        "store:6380",
        "ssl=true",
        "db=2",
        "username=me",
        "password=p@ss",
        "socket_timeout=1.0",
        "socket_connect_timeout=0.25",
    ]


def test_timestamp_of_the_live_view_is_kept_next_to_its_fields(served: Served) -> None:
    ActivityPusher(served.settings, served.redis_url).push([activity("c4")])
    with redis.Redis.from_url(served.redis_url) as client:
        stamp = client.hget(customer_key("c4"), timestamp_field(CUSTOMER_ACTIVITY).decode())
    assert isinstance(stamp, bytes)
    assert struct.unpack_from("<B", stamp) == (8,)
