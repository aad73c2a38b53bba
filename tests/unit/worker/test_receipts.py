"""What the worker knows of stores and products, and what it makes of a batch of purchases."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import redis
from sqlalchemy import Connection

from app.domain import Event, ProductId
from app.errors import StoreUnavailable
from app.offers.terms.records import Coupon, CouponStatus
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.places.stock import StockReport
from app.settings import Settings
from app.stores.redis.keys import RedisKeys, worker_client
from app.stores.redis.projections import Projections
from app.stores.redis.wallets import unpack_wallet
from app.stores.sql.coupons.issuing import coupons_of
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.places.reservations import Order, ReservedLine, reserve
from app.stores.sql.places.stock import apply_stock, changed_stock
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse, run_idempotent
from app.worker.receipts import Arrival, ProductAttributes, StoreZones, issuing, upkeep
from tests.support.tills import give, run_campaign

KEYS = RedisKeys(1)
BOUGHT = datetime(2027, 3, 28, 21, 59, 30, tzinfo=UTC)
"""Half a minute before midnight in Berlin, on the day that clocks go forward."""


def write(folder: Path, table: str, rows: list[dict[str, str | None]]) -> Path:
    path = folder / f"{table}.parquet"
    path.parent.mkdir(exist_ok=True)
    partial = folder / "partial"
    pl.DataFrame(rows).write_parquet(partial)
    partial.replace(path)
    return path


def terms(condition: object) -> OfferTerms:
    issue = {"by": "receipt", "condition": condition}
    return OfferTerms.model_validate(
        {"name": "off", "discount": Amount(type="amount", amount_minor=500), "issue": issue}
    )


def purchase(**fields: object) -> Event:
    event = Event("e", "purchase", BOUGHT, "store", "ann", None, ProductId("p"), "r", 1.0, 5001, store_id="berlin")
    return replace(event, **fields)  # type: ignore[arg-type]  # fields of Event


def arrivals(event: Event, *, late: timedelta) -> Sequence[Arrival]:
    return [Arrival(event, event.time + late)]


def wallet(ledger: Ledger) -> list[Coupon]:
    return ledger.read(lambda connection: coupons_of(connection, ["ann"], open_only=False))


@pytest.fixture
def projections(ledger: Ledger, valkey: str) -> Iterator[Projections]:
    with closing(Projections(ledger, worker_client(valkey), KEYS)) as projections:
        yield projections


def shown(valkey: str) -> list[str]:
    """Ann's coupons as decisions see them."""
    with redis.Redis.from_url(valkey) as client:
        wallet = unpack_wallet(client.get(KEYS.wallet("ann")), [b"", b"1"])
    return [] if wallet is None else [coupon.coupon_id for coupon in wallet.coupons]


def test_earned_coupon_is_shown_at_once_and_goes_with_the_goods(
    ledger: Ledger, projections: Projections, tmp_path: Path, valkey: str
) -> None:
    run_campaign(
        ledger, "c", CampaignTerms(name="c", currency="EUR"), terms({"type": "basket_total", "above_minor": 5000})
    )
    issue = issuing(ledger, Settings(data_dir=tmp_path), projections)
    bought = purchase(time=datetime.now(UTC))
    issue(arrivals(bought, late=timedelta(seconds=1)))
    assert shown(valkey) == [coupon.coupon_id for coupon in wallet(ledger)]
    assert len(shown(valkey)) == 1
    issue(arrivals(replace(bought, event_id="back", type="refund"), late=timedelta(seconds=2)))
    assert shown(valkey) == []


def test_store_s_zone_is_what_its_table_says_now(tmp_path: Path) -> None:
    zones = StoreZones(tmp_path / "stores.parquet", default="Europe/Berlin")
    assert zones.of("s1") == zones.of(None) == "Europe/Berlin"
    write(tmp_path, "stores", [{"store_id": "s1", "time_zone": "Asia/Tokyo"}, {"store_id": "s2", "time_zone": None}])
    assert [zones.of(store_id) for store_id in ("s1", "s2", "s3")] == ["Asia/Tokyo", "Europe/Berlin", "Europe/Berlin"]
    write(tmp_path, "stores", [{"store_id": "s1", "time_zone": "America/New_York"}])
    assert zones.of("s1") == "America/New_York"
    write(tmp_path, "stores", [{"store_id": "s1"}])
    assert zones.of("s1") == "Europe/Berlin"
    (tmp_path / "stores.parquet").unlink()
    assert zones.of("s1") == "Europe/Berlin"


def test_store_table_is_read_once_as_long_as_it_stays(tmp_path: Path) -> None:
    path = write(tmp_path, "stores", [{"store_id": "s1", "time_zone": "Asia/Tokyo"}])
    zones = StoreZones(path, default="UTC")
    assert zones.of("s1") == "Asia/Tokyo"
    seen = path.stat()
    path.write_bytes(b"x" * seen.st_size)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert zones.of("s1") == "Asia/Tokyo"


def test_zone_that_does_not_exist_is_logged_and_the_default_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, "stores", [{"store_id": "s1", "time_zone": "Europe/Munich"}])
    assert StoreZones(path, default="Europe/Berlin").of("s1") == "Europe/Berlin"
    assert [(record.levelno, vars(record)["detail"]) for record in caplog.records] == [
        (logging.ERROR, "s1: Europe/Munich")
    ]


def test_table_that_cannot_be_read_holds_the_batch_back(tmp_path: Path) -> None:
    for table in ("stores", "products"):
        (tmp_path / f"{table}.parquet").write_bytes(b"no parquet")
    with pytest.raises(StoreUnavailable, match=r"stores\.parquet"):
        StoreZones(tmp_path / "stores.parquet", default="UTC").of("s1")
    with pytest.raises(StoreUnavailable, match=r"products\.parquet"):
        ProductAttributes(tmp_path / "products.parquet").of(["p"], ["brand"])


def test_product_s_attributes_are_what_its_table_says(tmp_path: Path) -> None:
    products = ProductAttributes(tmp_path / "products.parquet")
    assert products.of(["p"], ["brand"]) == {}
    rows: list[dict[str, str | None]] = [
        {"product_id": "p", "brand": "acme", "category": None},
        {"product_id": "q", "brand": "other", "category": "soap"},
        {"product_id": "r", "brand": "acme", "category": "soap"},
    ]
    write(tmp_path, "products", rows)
    assert products.of(["p", "q", "none"], ["brand", "category", "colour"]) == {
        "p": {"brand": "acme"},
        "q": {"brand": "other", "category": "soap"},
    }
    assert products.of(["p"], []) == {}


@pytest.mark.parametrize(
    ("late_s", "store_id", "default_zone", "count"),
    [
        (29, "berlin", "UTC", 1),
        (31, "berlin", "UTC", 0),
        (31, "tokyo", "UTC", 1),
        (31, None, "UTC", 1),
        (31, None, "Europe/Berlin", 0),
    ],
)
def test_day_ends_at_midnight_of_the_store_not_of_the_server(
    ledger: Ledger,
    projections: Projections,
    tmp_path: Path,
    late_s: int,
    store_id: str | None,
    default_zone: str,
    count: int,
) -> None:
    settings = Settings(data_dir=tmp_path, time_zone=default_zone)
    rows: list[dict[str, str | None]] = [
        {"store_id": "berlin", "time_zone": "Europe/Berlin"},
        {"store_id": "tokyo", "time_zone": "Asia/Tokyo"},
    ]
    write(settings.tables_dir, "stores", rows)
    run_campaign(
        ledger, "c", CampaignTerms(name="c", currency="EUR"), terms({"type": "basket_total", "above_minor": 5000})
    )
    issue = issuing(ledger, settings, projections)
    issue(arrivals(purchase(store_id=store_id), late=timedelta(seconds=late_s)))
    assert len(wallet(ledger)) == count


def test_rule_on_a_brand_reads_the_product_table(ledger: Ledger, projections: Projections, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, time_zone="Europe/Berlin")
    acme = {"type": "contains", "products": [{"attribute": "brand", "values": ["acme"]}]}
    run_campaign(ledger, "c", CampaignTerms(name="c", currency="EUR"), terms(acme))
    issue = issuing(ledger, settings, projections)
    issue(arrivals(purchase(), late=timedelta(seconds=1)))
    assert wallet(ledger) == []
    write(settings.tables_dir, "products", [{"product_id": "p", "brand": "acme"}])
    issue(arrivals(purchase(event_id="f", basket_id="s"), late=timedelta(seconds=1)))
    assert len(wallet(ledger)) == 1


def test_batch_without_a_purchase_needs_no_ledger(tmp_path: Path, projections: Projections) -> None:
    nowhere = open_ledger(f"sqlite:///{tmp_path}/none/ledger.db")
    issuing(nowhere, Settings(data_dir=tmp_path), projections)([Arrival(purchase(type="view_item"), BOUGHT)])
    assert not (tmp_path / "none").exists()
    nowhere.close()


def test_sweep_ends_what_is_over_but_not_what_a_decision_still_guarantees(
    ledger: Ledger, tmp_path: Path, valkey: str
) -> None:
    settings = Settings(data_dir=tmp_path, decision_keep_s=900)
    now = datetime.now(UTC)
    offers = [
        terms({"type": "known_customer"}).model_copy(update={"valid_until": now - timedelta(minutes=minutes)})
        for minutes in (20, 10)
    ]
    run_campaign(ledger, "c", CampaignTerms(name="c", currency="EUR"), *offers)
    for number in (0, 1):
        give(ledger, f"c-{number}", "ann")
    with closing(Projections(ledger, worker_client(valkey), KEYS)) as projections:
        upkeep(ledger, settings, projections, clock=ledger.now)()
    with redis.Redis.from_url(valkey) as client:
        assert client.exists(KEYS.wallet("ann"))
    assert {coupon.offer_id: coupon.status for coupon in wallet(ledger)} == {
        "c-0": CouponStatus.EXPIRED,
        "c-1": CouponStatus.ISSUED,
    }


def test_sweep_brings_goods_back_whose_time_is_over(ledger: Ledger, tmp_path: Path, projections: Projections) -> None:
    now = datetime.now(UTC)
    counted = StockReport("erp", "e", now, sequence=None, quantity_milli=3000)

    def put_aside(connection: Connection) -> None:
        apply_stock(connection, [("330", "shoe", counted)], now=now)
        for minutes in (60, 90):
            ttl, lines = timedelta(minutes=minutes), [ReservedLine("shoe", 1000)]
            reserve(connection, Order(f"o-{minutes}", "shop"), "330", lines, now=now - timedelta(hours=1), ttl=ttl)

    ledger.write(put_aside)
    upkeep(ledger, Settings(data_dir=tmp_path), projections, clock=ledger.now)()
    [change] = ledger.read(lambda connection: changed_stock(connection, 0, limit=10))
    assert change.available_milli == 2000


def test_clock_that_jumps_ahead_ends_no_coupon_and_forgets_no_key(
    ledger: Ledger, tmp_path: Path, projections: Projections
) -> None:
    now = datetime.now(UTC)
    offer = terms({"type": "known_customer"}).model_copy(update={"valid_until": now + timedelta(hours=1)})
    run_campaign(ledger, "c", CampaignTerms(name="c", currency="EUR"), offer)
    give(ledger, "c-0", "ann")
    request = IdempotentRequest("till", "key", "fingerprint", now)
    run_idempotent(ledger, request, lambda _: StoredResponse(201, b"kept"))
    times = iter([now, now + timedelta(hours=30)])
    sweep = upkeep(ledger, Settings(data_dir=tmp_path), projections, clock=lambda: next(times))
    sweep()
    sweep()
    assert [coupon.status for coupon in wallet(ledger)] == [CouponStatus.ISSUED]
    later = replace(request, now=now + timedelta(hours=30))
    assert run_idempotent(ledger, later, lambda _: StoredResponse(500, b"")) == StoredResponse(201, b"kept", (), True)
