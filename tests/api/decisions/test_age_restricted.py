"""Products for people of age over HTTP: from the product table to what placements show, on a real Valkey."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from tests.support.server import serving, wait_until
from tests.support.world import World, customer, product

LIMITED = product("tea", 3)
PLACEMENTS = {
    "app_home": {"pin": [{"product_id": LIMITED, "rank": 2}]},
    "till": {"allow_age_restricted": True},
}
AT = "2026-10-01T00:00:00Z"


@pytest.fixture
def shop(trained_world: World, tmp_path: Path) -> Iterator[httpx.Client]:
    """A service whose product table is its own."""
    for name in ("bundles", "tables"):
        shutil.copytree(trained_world.settings.data_dir / name, tmp_path / "var" / name)
    (tmp_path / "placements.json").write_text(json.dumps(PLACEMENTS))
    own = {"data_dir": tmp_path / "var", "placements_file": tmp_path / "placements.json", "reload_interval_ms": 10}
    with serving(trained_world.settings.model_copy(update=own), trained_world.redis_url) as client:
        yield client


def decide(shop: httpx.Client, placement: str, **fields: object) -> dict[str, Any]:
    question = {"placement": placement, "customer_id": customer("tea", 3), "explain": True, "context": {"now": AT}}
    answer = shop.post("/v1/decisions", json=question | fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def shown(shop: httpx.Client, placement: str, **fields: object) -> list[str]:
    return [one["product_id"] for one in decide(shop, placement, **fields)["propositions"]]


def repeated(shop: httpx.Client, **parameters: str) -> list[str]:
    path = f"/v1/customers/{customer('tea', 3)}/replenishment"
    return [row["product_id"] for row in shop.get(path, params={"now": AT} | parameters).json()["items"]]


def limit(shop: httpx.Client, value: object) -> None:
    rows = [{"product_id": LIMITED, "age_restricted": value}]
    assert shop.post("/v1/catalogue/products", json={"products": rows}).status_code == 200


def test_limited_product_leaves_every_placement_but_those_that_allow_it_and_returns(shop: httpx.Client) -> None:
    assert shown(shop, "app_home")[1] == shown(shop, "till")[0] == repeated(shop)[0] == LIMITED
    limit(shop, 18)
    wait_until(lambda: LIMITED not in shown(shop, "app_home"), "the limit counts")
    found = decide(shop, "app_home")
    assert found["trace"]["dropped"]["age_restricted"] == {"count": 1, "product_ids": [LIMITED]}
    assert found["degraded"] == []
    assert len(found["propositions"]) == 10
    assert LIMITED not in shown(shop, "app_home", filters={"department": ["TEA"]}, size=60)
    assert shown(shop, "till")[0] == LIMITED
    assert LIMITED not in repeated(shop)
    assert repeated(shop, allow_age_restricted="true")[0] == LIMITED
    limit(shop, value=False)
    wait_until(lambda: LIMITED in shown(shop, "app_home"), "the limit is lifted")


def test_pin_and_fallback_that_never_show_are_logged_when_a_bundle_goes_live(
    trained_world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("bundles", "tables"):
        shutil.copytree(trained_world.settings.data_dir / name, tmp_path / "var" / name)
    path = tmp_path / "var/tables/products.parquet"
    limited = pl.when(pl.col("product_id") == LIMITED).then(pl.lit("yes"))
    pl.read_parquet(path).with_columns(age_restricted=limited).write_parquet(path)
    (tmp_path / "placements.json").write_text(json.dumps(PLACEMENTS | {"web_home": {"fallback": [LIMITED, "tea-4"]}}))
    own = {"data_dir": tmp_path / "var", "placements_file": tmp_path / "placements.json"}
    with (
        caplog.at_level("WARNING", "app.composition.service"),
        serving(trained_world.settings.model_copy(update=own), trained_world.redis_url),
    ):
        pass
    found = [
        (one.__dict__["placement"], one.__dict__["detail"]) for one in caplog.records if "placement" in one.__dict__
    ]
    why = f"product {LIMITED!r} is age-restricted, which allow_age_restricted does not allow here"
    assert found == [("app_home", why), ("web_home", why)]


def test_group_of_a_new_product_is_enough_also_in_a_column_that_training_did_not_see(shop: httpx.Client) -> None:
    rows = [{"product_id": "tea-grog", "name": "Tea with rum", "department": "TEA", "category": "SPIRITS"}]
    rows += [{"product_id": "tea-fresh", "name": "First flush", "department": "TEA"}]
    assert shop.post("/v1/catalogue/products", json={"products": rows}).status_code == 200
    wait_until(lambda: "tea-fresh" in shown(shop, "app_home", size=61), "the new tea is known")
    assert "tea-grog" not in shown(shop, "app_home", size=61)
