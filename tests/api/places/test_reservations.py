"""Goods put aside over HTTP: all or none of an order, once however often it is sent; on SQLite and PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.domain import Scope
from app.settings import Settings
from app.stores.sql.access.keys import create_key
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.place_tables import stock_reservations
from tests.api.places.conftest import eventually, level
from tests.support.server import serving
from tests.support.shop import Shop, document_of, new_name
from tests.support.world import World

Json = dict[str, Any]
PATH = "/v1/stock-reservations"


@pytest.fixture
def store_id(shop: Shop) -> str:
    """A store of the test's own, with 5 shoes, 12.5 kg of cheese and no socks."""
    name = new_name()
    shop.put(f"/v1/stores/{name}", {})
    stock(shop, name, shoe=5, cheese=12.5, sock=0)
    return name


def stock(shop: Shop, store_id: str, **available: float) -> None:
    now = datetime.now(UTC).isoformat()
    events = [
        {"id": uuid4().hex, "type": "inventory_changed", "time": now} | level(store_id, product_id, quantity)
        for product_id, quantity in available.items()
    ]
    results = shop.post("/v1/events", {"events": events}, status=202)["results"]
    assert [one["status"] for one in results] == ["accepted"] * len(events)


def wanted(store_id: str, **quantities: float) -> Json:
    """A request for an order of its own."""
    lines = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in quantities.items()]
    return {"store_id": store_id, "order_id": new_name(), "lines": lines}


def left(shop: Shop, store_id: str, product_id: str) -> tuple[float, float, float]:
    """Quantity, reserved and available."""
    [here] = [one for one in shop.get(f"/v1/stock/{product_id}")["stores"] if one["store_id"] == store_id]
    return here["quantity"], here["reserved"], here["available"]


def let_time_pass(shop: Shop, reservation_id: str) -> None:
    """As if the reservation had been made so long ago that its time is over."""
    with closing(open_ledger(shop.ledger_url)) as ledger:
        mine = stock_reservations.c.reservation_id == reservation_id
        over = stock_reservations.update().where(mine).values(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        ledger.write(lambda connection: connection.execute(over))


def test_goods_that_are_put_aside_can_be_had_by_nobody_else_until_they_are_given_back(
    shop: Shop, store_id: str
) -> None:
    body = wanted(store_id, shoe=2, cheese=0.375) | {"customer_id": "900", "ttl_minutes": 60}
    made = shop.post(PATH, body)
    assert {name: made[name] for name in ("status", "store_id", "order_id", "customer_id", "lines")} == {
        "status": "held", "store_id": store_id, "order_id": body["order_id"], "customer_id": "900",
        "lines": body["lines"],
    }  # fmt: skip
    created_at, expires_at = (datetime.fromisoformat(made[name]) for name in ("created_at", "expires_at"))
    assert expires_at - created_at == timedelta(hours=1)
    path = f"{PATH}/{made['reservation_id']}"
    assert shop.get(path) == made
    assert left(shop, store_id, "shoe") == (5, 2, 3)
    assert left(shop, store_id, "cheese") == (12.5, 0.375, 12.125)
    for _ in range(2):
        assert shop.delete(path) == made | {"status": "released"}
    assert left(shop, store_id, "shoe") == (5, 0, 5)
    assert shop.post(f"{path}/collect", status=409)["code"] == "stock_reservation_over"


def test_collected_goods_leave_the_stock_once(shop: Shop, store_id: str) -> None:
    made = shop.post(PATH, wanted(store_id, shoe=2))
    path = f"{PATH}/{made['reservation_id']}"
    for _ in range(2):
        assert shop.post(f"{path}/collect", status=200) == made | {"status": "collected"}
    assert left(shop, store_id, "shoe") == (3, 0, 3)
    assert shop.delete(path, status=409)["code"] == "stock_reservation_over"


def test_an_order_of_which_too_little_is_there_gets_nothing_and_may_come_again(shop: Shop, store_id: str) -> None:
    key, body = uuid4().hex, wanted(store_id, shoe=2, sock=1)
    refused = shop.send("POST", PATH, body, key=key)
    assert refused.headers["content-type"] == "application/problem+json"
    problem = document_of(refused, 409)
    assert problem["code"] == "out_of_stock"
    assert "'sock'" in problem["detail"]
    assert left(shop, store_id, "shoe") == (5, 0, 5)
    stock(shop, store_id, sock=1)
    assert shop.post(PATH, body, key=key)["status"] == "held"
    assert left(shop, store_id, "shoe") == (5, 2, 3)


@pytest.mark.parametrize("times", range(1, 6))
def test_a_request_sent_again_under_its_key_has_one_effect(shop: Shop, store_id: str, times: int) -> None:
    key, body = uuid4().hex, wanted(store_id, shoe=2)
    answers = [shop.send("POST", PATH, body, key=key) for _ in range(times)]
    assert {one.status_code for one in answers} == {201}
    assert len({one.content for one in answers}) == 1
    assert [one.headers.get("Idempotent-Replayed") for one in answers] == [None, *["true"] * (times - 1)]
    assert left(shop, store_id, "shoe") == (5, 2, 3)
    other = shop.post(PATH, body | {"order_id": "another"}, key=key, status=422)
    assert other["code"] == "idempotency_mismatch"


def test_a_request_sent_five_times_at_once_has_one_effect(shop: Shop, store_id: str) -> None:
    key, body = uuid4().hex, wanted(store_id, shoe=2)
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: shop.send("POST", PATH, body, key=key), range(5)))
    assert {(one.status_code, one.json().get("code")) for one in answers} <= {(201, None), (409, "request_in_flight")}
    assert len({one.content for one in answers if one.status_code == 201}) == 1
    assert left(shop, store_id, "shoe") == (5, 2, 3)


def test_what_is_overdue_is_shown_so_and_is_there_for_the_next_order(shop: Shop, store_id: str) -> None:
    made = shop.post(PATH, wanted(store_id, shoe=5))
    path = f"{PATH}/{made['reservation_id']}"
    assert shop.post(PATH, wanted(store_id, shoe=1), status=409)["code"] == "out_of_stock"
    let_time_pass(shop, made["reservation_id"])
    # Nobody has swept.
    assert shop.get(path)["status"] == "expired"
    assert shop.post(f"{path}/collect", status=409)["code"] == "stock_reservation_over"
    assert shop.post(PATH, wanted(store_id, shoe=4))["status"] == "held"
    assert left(shop, store_id, "shoe") == (5, 4, 1)
    assert shop.delete(path)["status"] == "expired"
    assert left(shop, store_id, "shoe") == (5, 4, 1)


def test_what_is_not_there_is_not_found(shop: Shop, store_id: str) -> None:
    for answer in (
        shop.get(f"{PATH}/none", status=404),
        shop.delete(f"{PATH}/none", status=404),
        shop.post(f"{PATH}/none/collect", status=404),
    ):
        assert answer["code"] == "stock_reservation_not_found"
    assert shop.post(PATH, wanted("nowhere", shoe=1), status=404)["code"] == "store_not_found"
    # Nobody finds goods in a store that is off the map.
    assert shop.client.delete(f"/v1/stores/{store_id}").status_code == 204
    assert shop.post(PATH, wanted(store_id, shoe=1), status=404)["code"] == "store_not_found"


SHOE = {"product_id": "shoe", "quantity": 1}


@pytest.mark.parametrize(
    ("fault", "pointer"),
    [
        ({"store_id": ""}, "/store_id"),
        ({"order_id": None}, "/order_id"),
        ({"customer_id": "a\x00b"}, "/customer_id"),
        ({"lines": []}, "/lines"),
        ({"lines": [SHOE] * 201}, "/lines"),
        ({"lines": [SHOE, SHOE]}, "/lines/1/product_id"),
        ({"lines": [SHOE | {"product_id": ""}]}, "/lines/0/product_id"),
        ({"lines": [SHOE | {"quantity": 0}]}, "/lines/0/quantity"),
        ({"lines": [SHOE | {"quantity": 0.0004}]}, "/lines/0/quantity"),
        ({"lines": [SHOE | {"quantity": 1e9}]}, "/lines/0/quantity"),
        ({"lines": [SHOE | {"amount": 1}]}, "/lines/0/amount"),
        ({"ttl_minutes": 0}, "/ttl_minutes"),
        ({"ttl_minutes": 7 * 24 * 60 + 1}, "/ttl_minutes"),
        ({"ttl_minutes": "60"}, "/ttl_minutes"),
        ({"until": "tomorrow"}, "/until"),
    ],
)
def test_pointer_leads_to_the_fault_of_a_request(shop: Shop, fault: Json, pointer: str) -> None:
    refused = shop.post(PATH, {"store_id": "s", "order_id": "o", "lines": [SHOE]} | fault, status=422)
    assert (refused["code"], refused["pointer"]) == ("invalid_request", pointer)


def test_a_write_without_a_key_is_refused(shop: Shop, store_id: str) -> None:
    refused = document_of(shop.client.post(PATH, json=wanted(store_id, shoe=1)), 400)
    assert refused["code"] == "idempotency_key_missing"


@pytest.fixture
def two_clients(tmp_path: Path, valkey: str) -> Iterator[tuple[Shop, Shop]]:
    """A service as two clients see it, each with a key of its own."""
    settings = Settings.load(data_dir=tmp_path)
    with ExitStack() as stack:
        address = stack.enter_context(serving(settings, valkey)).base_url
        ledger = stack.enter_context(closing(open_ledger(settings.ledger_url)))

        def client_of(name: str) -> Shop:
            _, key = create_key(ledger, name, list(Scope), per_second=None, now=datetime.now(UTC))
            headers = {"Authorization": f"Bearer {key}"}
            return Shop(stack.enter_context(httpx.Client(base_url=address, headers=headers)), settings.ledger_url)

        yield client_of("kiosk"), client_of("app")


def test_another_client_neither_collects_nor_gives_back(two_clients: tuple[Shop, Shop]) -> None:
    kiosk, app = two_clients
    eventually(lambda: kiosk.client.put("/v1/stores/s", json={}).status_code == 200)
    stock(kiosk, "s", shoe=2)
    key, body = uuid4().hex, wanted("s", shoe=1)
    made = kiosk.post(PATH, body, key=key)
    path = f"{PATH}/{made['reservation_id']}"
    assert app.delete(path, status=409)["code"] == "stock_reservation_of_other"
    assert app.post(f"{path}/collect", status=409)["code"] == "stock_reservation_of_other"
    # The same key of another client is another key.
    assert app.post(PATH, body, key=key)["reservation_id"] != made["reservation_id"]
    assert left(kiosk, "s", "shoe") == (2, 2, 0)
    assert kiosk.post(f"{path}/collect", status=200)["status"] == "collected"


def test_reserved_pieces_leave_the_answers_of_every_process(own_world: World) -> None:
    with (
        serving(own_world.settings, own_world.redis_url) as first,
        serving(own_world.settings, own_world.redis_url) as second,
    ):
        shop = Shop(first, own_world.settings.ledger_url)

        def had(client: httpx.Client) -> Json:
            """The products that can be had in the store, and how many are left of each."""
            body = {"placement": "app_home", "anonymous_id": "a", "exclude": [], "context": {"store_id": "s"}}
            slate = document_of(client.post("/v1/decisions", json=body), 200)
            of_product = {one["product_id"]: one.get("options") for one in slate["propositions"]}
            return {name: options and options[0]["quantity_left"] for name, options in of_product.items()}

        def both_have(expected: Json) -> None:
            eventually(lambda: had(first) == had(second) == expected)

        shop.put("/v1/stores/s", {})
        stock(shop, "s", **{"tea-1": 2, "tea-2": 5})
        both_have({"tea-1": 2.0, "tea-2": 5.0})
        made = shop.post(PATH, wanted("s", **{"tea-1": 2, "tea-2": 2}))
        both_have({"tea-2": 3.0})
        shop.delete(f"{PATH}/{made['reservation_id']}")
        both_have({"tea-1": 2.0, "tea-2": 5.0})
