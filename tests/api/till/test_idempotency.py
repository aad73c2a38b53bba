"""Idempotency-Key over HTTP: one key, one effect, one answer; on SQLite and PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from app.domain import Scope
from app.settings import Settings
from app.stores.sql.access.keys import create_key
from app.stores.sql.database.engine import Ledger, open_ledger
from tests.support.server import serving
from tests.support.shop import Shop, document_of, new_name, order

CAMPAIGN = {"terms": {"name": "Spring", "currency": "EUR"}}
CHANGE_NOTHING = {"/v1/qualifications", "/v1/validations", "/v1/campaigns/{campaign_id}/simulate"}
WITHOUT_A_KEY = {
    *("/v1/decisions", "/v1/events", "/v1/catalogue/products", "/v1/catalogue/products/{product_id}"),
    *("/v1/imports", "/v1/imports/{import_id}/undo", "/v1/imports/mappings/{mapping}"),
    *("/v1/stores/{store_id}", "/v1/stock-reservations/{reservation_id}"),
    "/v1/stock-reservations/{reservation_id}/collect",
    *("/v1/customers/{customer_id}", "/v1/customers/{customer_id}/identities/{identity_type}/{value}"),
    *("/v1/customers/{customer_id}/consents/{purpose}", "/v1/customers/{customer_id}/objections"),
    *("/v1/customers/{customer_id}/objections/{purpose}", "/v1/customers/{customer_id}/preferences"),
}
"""Decisions change nothing either; each event has an id of its own, and products, files or stores sent again are the
same. Goods are given back or collected once, however often that is sent. What a customer says or wants is the same when
they say it again."""


def test_every_write_says_that_it_needs_a_key(shop: Shop) -> None:
    writes = {
        (method, path): {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"}
        for path, methods in shop.get("/openapi.json")["paths"].items()
        for method, operation in methods.items()
        if method != "get" and path not in CHANGE_NOTHING | WITHOUT_A_KEY
    }
    assert len(writes) >= 15
    assert [name for name, headers in writes.items() if "Idempotency-Key" not in headers] == []


def test_write_without_a_key_is_refused(shop: Shop) -> None:
    before = shop.get("/v1/campaigns", {"limit": "1000"})
    for method, path, body in (
        ("POST", "/v1/campaigns", CAMPAIGN),
        ("PUT", "/v1/campaigns/none", CAMPAIGN),
        ("POST", "/v1/campaigns/none/pause", None),
        ("DELETE", "/v1/offers/none", None),
        ("PUT", "/v1/customers/ann/membership", {"tier": "gold"}),
        ("POST", "/v1/redemptions", order(100) | {"order_id": "o", "codes": ["none"]}),
        ("DELETE", "/v1/reservations/none", None),
    ):
        refused = document_of(shop.client.request(method, path, json=body), 400)
        assert refused["code"] == "idempotency_key_missing", path
    assert shop.get("/v1/campaigns", {"limit": "1000"}) == before


@pytest.mark.parametrize("key", ["k" * 256, "two words", "ümlaut".encode(), "tab\tinside"])
def test_key_that_is_too_long_or_cannot_be_seen_is_refused(shop: Shop, key: Any) -> None:
    refused = document_of(shop.send("POST", "/v1/campaigns", CAMPAIGN, key=key), 422)
    assert refused["code"] == "idempotency_key_invalid"
    assert shop.send("POST", "/v1/campaigns", CAMPAIGN, key=new_name().ljust(255, "~")).status_code == 201


def test_same_request_again_gets_the_same_answer_and_has_no_effect(shop: Shop) -> None:
    customer_id, key = new_name(), new_name()
    shop.give(shop.offer(uses_per_code=None), customer_id)
    body = order(1000) | {"order_id": "o", "customer_id": customer_id, "wallet": True}
    first, again = (shop.send("POST", "/v1/redemptions", body, key=key) for _ in range(2))
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert [coupon["uses"] for coupon in shop.wallet(customer_id)] == [1]


def test_same_json_in_other_bytes_is_the_same_request(shop: Shop) -> None:
    key, campaign_id = new_name(), new_name()
    sent = [
        f'{{"campaign_id": "{campaign_id}", "terms": {{"name": "Käse", "currency": "EUR"}}}}',
        f'{{"terms":{{"currency":"EUR","name":"K\\u00e4se"}},\n "campaign_id":"{campaign_id}"}}',
    ]
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    first, again = (shop.client.post("/v1/campaigns", content=body.encode(), headers=headers) for body in sent)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"


def test_key_of_another_request_before_is_refused(shop: Shop) -> None:
    key, campaign_id = new_name(), shop.campaign()
    path = f"/v1/campaigns/{campaign_id}"
    shop.post(f"{path}/pause", status=200, key=key)
    for method, other, body in (
        ("POST", f"{path}/resume", None),
        ("POST", f"/v1/campaigns/{shop.campaign()}/pause", None),
        ("PUT", path, CAMPAIGN),
    ):
        refused = document_of(shop.send(method, other, body, key=key), 422)
        assert refused["code"] == "idempotency_mismatch"
    assert shop.get(path)["status"] == "paused"


def test_refusal_is_kept_and_an_error_is_not(shop: Shop) -> None:
    customer_id, key = new_name(), new_name()
    body = order(1000) | {"order_id": "o", "customer_id": customer_id, "wallet": True}
    assert shop.post("/v1/redemptions", body, key=key, status=409)["code"] == "no_coupon"
    offer_id = shop.offer()
    shop.give(offer_id, customer_id)
    again = shop.send("POST", "/v1/redemptions", body, key=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (409, "true")
    assert again.headers["content-type"] == "application/problem+json"
    name, key = new_name(), new_name()
    body = {"terms": {"name": "An offer", "discount": {"type": "amount", "amount_minor": 1}}}
    assert shop.post(f"/v1/campaigns/{name}/offers", body, key=key, status=404)["code"] == "campaign_not_found"
    shop.post("/v1/campaigns", CAMPAIGN | {"campaign_id": name})
    assert shop.post(f"/v1/campaigns/{name}/offers", body, key=key)["campaign_id"] == name


def test_same_key_in_flight_is_a_conflict(shop: Shop) -> None:
    key = new_name()

    def send() -> httpx.Response:
        return shop.send("POST", "/v1/campaigns", CAMPAIGN, key=key)

    with ThreadPoolExecutor(2) as threads:
        with locked(shop.ledger_url):
            sent = {threads.submit(send) for _ in range(2)}
            quick, slow = wait(sent, return_when=FIRST_COMPLETED)
            assert [document_of(one.result(), 409)["code"] for one in quick] == ["request_in_flight"]
        assert [one.result().status_code for one in slow] == [201]
    assert shop.send("POST", "/v1/campaigns", CAMPAIGN, key=key).headers["idempotent-replayed"] == "true"


@contextmanager
def locked(ledger_url: str) -> Iterator[None]:
    """Nobody else can write an idempotency record meanwhile."""
    held, over = Event(), Event()
    ledger = open_ledger(ledger_url)

    def hold(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("LOCK TABLE idempotency IN EXCLUSIVE MODE")
        held.set()
        over.wait(timeout=20)

    with ThreadPoolExecutor(1) as thread:
        holding = thread.submit(ledger.write, hold)
        assert held.wait(timeout=20)
        try:
            yield
        finally:
            over.set()
            holding.result()
            ledger.close()


def test_clients_do_not_share_their_keys(tmp_path: Path, valkey: str) -> None:
    settings = Settings.load(data_dir=tmp_path)
    with serving(settings, valkey) as client:
        shop, ledger = Shop(client, settings.ledger_url), open_ledger(settings.ledger_url)
        tills = [key_of(ledger, name) for name in ("till-1", "till-2")]
        ledger.close()
        for headers in tills:
            body = CAMPAIGN | {"campaign_id": new_name()}
            assert shop.send("POST", "/v1/campaigns", body, key="1", headers=headers).status_code == 201


def key_of(ledger: Ledger, client: str) -> dict[str, str]:
    """The header of a new key of this client."""
    _, key = create_key(ledger, client, [Scope.ADMIN], per_second=None, now=datetime.now(UTC))
    return {"Authorization": f"Bearer {key}"}
