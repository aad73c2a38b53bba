"""What front ends draw of products: in every proposition, as the product table has it now, on every channel alike."""

import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.server import serving, wait_until
from tests.support.world import World, customer, product

PATH = "/v1/catalogue/products"
DRAWN = ("image_url", "url", "brand", "category", "rating", "rating_count")
TEA = product("tea", 3)


@pytest.fixture
def client(own_world: World) -> Iterator[httpx.Client]:
    """The trained world with a product table of its own, which its server looks at all the time."""
    tables = own_world.settings.tables_dir
    source = tables.resolve()
    tables.unlink()
    shutil.copytree(source, tables)
    with serving(own_world.settings.model_copy(update={"reload_interval_ms": 10}), own_world.redis_url) as client:
        yield client


def decide(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    body = {"placement": "app_home", "customer_id": customer("tea", 3)} | fields
    answer: dict[str, Any] = client.post("/v1/decisions", json=body).raise_for_status().json()
    return answer


def tea_in(answer: dict[str, Any]) -> dict[str, Any]:
    [tea] = [one for one in answer["propositions"] if one["product_id"] == TEA]
    return {name: tea[name] for name in ("name", *DRAWN)}


def test_proposition_carries_what_a_page_draws_and_follows_the_table(client: httpx.Client) -> None:
    before = decide(client)
    known = {"image_url": f"https://cdn.example/{TEA}.jpg", "url": f"/p/{TEA}", "rating": 4.5, "rating_count": 12}
    assert tea_in(before) == {"name": f"The {TEA}", "brand": None, "category": None, **known}
    fields = {"name": "Sencha", "brand": "own", "category": "Green tea", "rating": 4.75, "image_url": None}
    client.patch(f"{PATH}/{TEA}", json=fields).raise_for_status()
    wait_until(lambda: tea_in(decide(client))["name"] == "Sencha", "the new name shows")
    after = decide(client)
    assert tea_in(after) == known | fields
    assert after["model_version"] == before["model_version"]
    assert after["catalogue_version"] != before["catalogue_version"]


def test_catalogue_version_is_one_on_all_channels_and_in_all_servers(client: httpx.Client, own_world: World) -> None:
    versions = {
        decide(client, placement=placement, context={"channel": channel})["catalogue_version"]
        for placement in ("app_home", "web_home")
        for channel in ("app", "web", "store")
    }
    with serving(own_world.settings, own_world.redis_url) as other:
        versions.add(decide(other, customer_id="nobody")["catalogue_version"])
    [version] = versions
    assert version
    assert len(version) == 16
