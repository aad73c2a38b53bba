"""A ledger that is away costs coupons and tills, never a decision or an event, at the start as well; it comes back."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.domain import Scope
from app.settings import Settings
from app.stores.sql.access.keys import create_key
from app.stores.sql.database.engine import open_ledger
from tests.support.server import serving, wait_until

BASKET = {"codes": ["X"], "currency": "EUR", "lines": [{"product_id": "p", "quantity": 1, "unit_price_minor": 100}]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


def decide(client: httpx.Client, headers: dict[str, str]) -> int:
    body = {"customer_id": "ann", "placement": "app_home", "kinds": ["product", "coupon"]}
    return client.post("/v1/decisions", json=body, headers=headers).status_code


def report(client: httpx.Client, headers: dict[str, str]) -> Any:
    row = {"id": uuid4().hex, "type": "view_item", "time": datetime.now(UTC).isoformat(), "customer_id": "ann"}
    answer = client.post("/v1/events", json={"events": [row | {"product_id": "p"}]}, headers=headers)
    return answer.json()["results"][0]["status"] if answer.status_code == 202 else answer.status_code


def redeem(client: httpx.Client, headers: dict[str, str]) -> int:
    sent = headers | {"Idempotency-Key": uuid4().hex}
    return client.post("/v1/redemptions", json=BASKET | {"order_id": "o"}, headers=sent).status_code


@pytest.fixture
def headers(settings: Settings, valkey: str) -> dict[str, str]:
    """A key that a server has known once, on a ledger that is damaged from then on."""
    with serving(settings, valkey) as client, closing(open_ledger(settings.ledger_url)) as ledger:
        _, key = create_key(ledger, "app", list(Scope), per_second=None, now=datetime.now(UTC))
        known = {"Authorization": f"Bearer {key}"}
        assert decide(client, known) == 200
        wait_until(lambda: b"app" in settings.keys_file.read_bytes(), "the key is kept")
    return known


def test_start_without_the_ledger_serves_decisions_and_events_and_refuses_money(
    settings: Settings, valkey: str, headers: dict[str, str]
) -> None:
    ledger = settings.data_dir / "ledger.db"
    kept = ledger.rename(settings.data_dir / "kept.db")
    for path in settings.data_dir.glob("ledger.db-*"):
        path.unlink()
    ledger.write_bytes(b"no database at all" * 1000)
    with serving(settings, valkey) as client:
        assert decide(client, headers) == 200
        assert report(client, headers) == "accepted"
        assert redeem(client, headers) == 503
        assert decide(client, {"Authorization": "Bearer endcap_unknown"}) == 503
        kept.replace(ledger)
        # 409 is the ledger's own answer to a code that nobody was given.
        wait_until(lambda: redeem(client, headers) == 409, "tills are served again")
