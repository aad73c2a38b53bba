"""Servers whose own clocks are hours off redeem by the clock of the database that they share."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.support.postgres import PostgresServer
from tests.support.repository import skip_unless_ci
from tests.support.running import endcap_serve
from tests.support.server import serving
from tests.support.shop import Shop, new_name, order, reasons

HOUR = timedelta(hours=1)
COUNT = 3


@pytest.fixture(scope="module")
def faketime() -> str:
    """The library that gives a process another wall clock."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if found is None:
        skip_unless_ci("faketime is not installed (Debian, Ubuntu: apt-get install faketime)")
    return str(found)


@pytest.fixture
def settings(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Settings]:
    with postgres_server.database() as url:
        yield Settings.load(data_dir=tmp_path, database_url=url)


def coupons_until(shop: Shop, end: datetime) -> list[str]:
    """Codes of coupons that are good until then; they are issued before their end is set, which may be past."""
    offer = shop.offer()
    codes = [str(shop.issue(offer, code=new_name())[0]["code"]) for _ in range(COUNT)]
    terms = shop.get(f"/v1/offers/{offer}")["terms"]
    shop.put(f"/v1/offers/{offer}", {"terms": terms | {"valid_until": end.isoformat()}})
    return codes


@pytest.mark.parametrize("shift", ["+2h", "-2h"])
def test_no_expired_coupon_is_redeemed_and_no_valid_one_refused_by_a_server_whose_clock_is_off(
    settings: Settings, valkey: str, faketime: str, shift: str
) -> None:
    with serving(settings, valkey) as client:
        shop = Shop(client, settings.ledger_url)
        now = datetime.now(UTC)
        valid, over = coupons_until(shop, now + HOUR), coupons_until(shop, now - HOUR)
        first = shop.send("POST", "/v1/redemptions", order(900) | {"order_id": "o", "codes": valid[:1]}, key="first")
        assert first.status_code == 201, first.text
        environment = {"LD_PRELOAD": faketime, "FAKETIME": shift, "DONT_FAKE_MONOTONIC": "1"}
        with endcap_serve(
            settings.data_dir, valkey, environment=environment, database_url=settings.database_url
        ) as address, httpx.Client(base_url=address, timeout=10) as shifted:  # fmt: skip
            their_date = shifted.get("/healthz").headers["date"]
            assert their_date != client.get("/healthz").headers["date"], "the server's clock was not shifted"
            there = Shop(shifted, settings.ledger_url)
            redeemed = [there.redeem(900, codes=[code]) for code in valid[1:COUNT]]
            refused = [there.redeem(900, codes=[code], status=409) for code in over[:COUNT]]
            again = there.send(
                "POST", "/v1/redemptions", order(900) | {"order_id": "o", "codes": valid[:1]}, key="first"
            )
        assert {tuple(reasons(one)) for one in refused} == {("coupon_expired",)}
        assert all(abs(datetime.fromisoformat(one["redeemed_at"]) - now) < HOUR for one in redeemed)
        assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
