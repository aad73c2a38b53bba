"""Products over HTTP: each row checked by itself, cells kept or cleared, on disk before the answer."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from app.imports.catalogue import import_products
from app.settings import Settings
from app.stores.tables.layers import FROM_API, PRODUCTS, LayeredTable
from tests.support.server import serving, wait_until
from tests.support.world import World

PATH = "/v1/catalogue/products"
NOW = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, currency="USD")


@pytest.fixture
def client(settings: Settings, valkey: str) -> Iterator[httpx.Client]:
    with serving(settings, valkey) as client:
        yield client


def send(client: httpx.Client, *products: object) -> list[dict[str, Any]]:
    answer = client.post(PATH, json={"products": products})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def stored(client: httpx.Client, product_id: str) -> dict[str, Any]:
    """What is known of the product, without the fields that hold nothing."""
    answer = client.get(f"{PATH}/{product_id}")
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if value not in (None, {})}


def test_product_is_on_disk_when_it_is_accepted(client: httpx.Client, settings: Settings) -> None:
    product = {"product_id": "007", "name": "Tea, green", "price_minor": 199, "shelf_life_days": 30}
    assert [one["status"] for one in send(client, product | {"attributes": {"organic": "yes"}})] == ["accepted"]
    assert pl.read_parquet(settings.tables_dir / "products.parquet").rows(named=True) == [
        {"product_id": "007", "name": "Tea, green", "price_minor": 199, "currency": "USD", "shelf_life_days": "30",
         "organic": "yes", "listed_at": None}
    ]  # fmt: skip
    assert stored(client, "007") == {
        "product_id": "007",
        "name": "Tea, green",
        "price_minor": 199,
        "currency": "USD",
        "shelf_life_days": "30",
        "recommendable": True,
        "attributes": {"organic": "yes"},
    }


def test_absent_field_keeps_what_a_file_brought_and_null_clears_it(client: httpx.Client, settings: Settings) -> None:
    file = settings.data_dir / "products.csv"
    file.write_text("product_id,name,brand,price\n1,one,own,1\n2,two,own,2\n")
    import_products(settings, file, now=NOW, progress=lambda done, total: None)
    send(client, {"product_id": "1", "price_minor": 300}, {"product_id": "2", "brand": None})
    assert [stored(client, one) for one in "12"] == [
        {
            "product_id": "1",
            "name": "one",
            "brand": "own",
            "price_minor": 300,
            "currency": "USD",
            "recommendable": True,
        },
        {"product_id": "2", "name": "two", "price_minor": 200, "currency": "USD", "recommendable": True},
    ]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"price_minor": -1}, "/price_minor"),
        ({"price_minor": "1.99"}, "/price_minor"),
        ({"age_restricted": 1}, "/age_restricted/bool"),
        ({"age_restricted": "18"}, "/age_restricted/bool"),
        ({"recomendable": False}, "/recomendable"),
        ({"attributes": {"Organic Yes": "1"}}, "/attributes/Organic Yes/[key]"),
        ({"attributes": {"price": "1"}}, ""),
        ({"currency": "EUR"}, ""),
        ({"image_url": "javascript:alert(1)"}, "/image_url"),
        ({"url": "www.example/p/1"}, "/url"),
        ({"rating": -0.5}, "/rating"),
        ({"rating": "4.5"}, "/rating"),
        ({"rating_count": 4.5}, "/rating_count"),
        ({"attributes": {"rating": "4.5"}}, ""),
        ({"name": "half a pair \ud800"}, "/name"),
        ({"product_id": " "}, "/product_id"),
    ],
)
def test_faulty_row_is_rejected_where_it_is_wrong_and_the_others_are_stored(
    client: httpx.Client, fields: dict[str, object], pointer: str
) -> None:
    sound = {"product_id": "good", "name": "Good"}
    content = '{"products": [' + json.dumps({"product_id": "bad"} | fields) + "," + json.dumps(sound) + "]}"
    answer = client.post(PATH, content=content, headers={"Content-Type": "application/json"})
    bad, good = answer.json()["results"]
    assert (bad["status"], bad["code"], bad["pointer"]) == ("rejected", "invalid_request", f"/products/0{pointer}")
    assert good["status"] == "accepted"
    assert client.get(f"{PATH}/bad").json()["code"] == "product_not_found"


def test_age_limit_is_stored_as_yes_no_or_an_age(client: httpx.Client) -> None:
    for given, kept in ((True, "yes"), (18, "18"), (False, "no"), (None, None)):
        send(client, {"product_id": "gin", "age_restricted": given})
        assert client.get(f"{PATH}/gin").json()["age_restricted"] == kept


def test_what_pages_draw_is_stored_and_answered_as_it_was_sent(client: httpx.Client) -> None:
    fields = {"image_url": "https://cdn.example/1.jpg", "url": "/p/1", "rating": 4.5, "rating_count": 120}
    send(client, {"product_id": "1"} | fields)
    assert stored(client, "1") == {"product_id": "1", "recommendable": True} | fields
    answer = client.patch(f"{PATH}/1", json={"rating": 4, "url": None}).json()
    assert (answer["rating"], answer["rating_count"], answer["url"]) == (4.0, 120, None)


def test_later_row_of_a_product_counts_field_by_field(client: httpx.Client) -> None:
    send(client, {"product_id": "1", "name": "first", "brand": "own"}, {"product_id": "1", "name": "second"})
    assert stored(client, "1") == {"product_id": "1", "name": "second", "brand": "own", "recommendable": True}


def test_withdrawn_product_stays_and_comes_back_when_it_is_said(client: httpx.Client) -> None:
    send(client, {"product_id": "a/b", "name": "Tea"})
    withdrawn = client.delete(f"{PATH}/a%2Fb")
    assert (withdrawn.status_code, withdrawn.json()["recommendable"]) == (200, False)
    send(client, {"product_id": "a/b", "name": "Green tea"})
    assert stored(client, "a%2Fb")["recommendable"] is False
    changed = client.patch(f"{PATH}/a%2Fb", json={"recommendable": True})
    assert (changed.json()["name"], changed.json()["recommendable"]) == ("Green tea", True)


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "GET"])
def test_product_that_is_not_there_is_not_made(client: httpx.Client, method: str) -> None:
    answer = client.request(method, f"{PATH}/attic", json={"name": "x"} if method == "PATCH" else None)
    assert (answer.status_code, answer.json()["code"]) == (404, "product_not_found")


def test_calls_that_come_at_once_are_all_stored_in_few_rewrites(client: httpx.Client, settings: Settings) -> None:
    def call(place: int) -> None:
        send(client, {"product_id": f"p{place}", "name": f"Product {place}"})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(call, range(24)))
    table = LayeredTable(settings.tables_dir, PRODUCTS)
    assert table.stored().height == 24
    (layer,) = table.layers().stack
    # A rewrite counts the layer up.
    assert (layer.import_id, layer.number < 12) == (FROM_API, True)


def test_so_many_attributes_that_the_table_gets_too_wide_are_refused(client: httpx.Client) -> None:
    for start in range(0, 300, 100):
        rows = [{"product_id": str(start), "attributes": {f"a{n}": "x" for n in range(start, start + 100)}}]
        answer = client.post(PATH, json={"products": rows})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input")
    assert "300" in answer.json()["detail"]
    assert send(client, {"product_id": "0", "attributes": {"a0": "y"}})[0]["status"] == "accepted"


def test_servers_show_a_changed_name_and_drop_what_was_withdrawn(own_world: World) -> None:
    tables = own_world.settings.tables_dir
    source = tables.resolve()
    tables.unlink()
    shutil.copytree(source, tables)
    settings = own_world.settings.model_copy(update={"reload_interval_ms": 10})
    with serving(settings, own_world.redis_url) as client:

        def shown() -> dict[str, str]:
            answer = client.post("/v1/decisions", json={"placement": "app_home", "customer_id": "nobody"}).json()
            return {one["product_id"]: one["name"] for one in answer["propositions"]}

        first, second, *_ = shown()
        client.patch(f"{PATH}/{first}", json={"name": "Renamed"}).raise_for_status()
        wait_until(lambda: shown().get(first) == "Renamed", "the name shows")
        client.delete(f"{PATH}/{second}").raise_for_status()
        wait_until(lambda: second not in shown(), "the withdrawn product is gone")
