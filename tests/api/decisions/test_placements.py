"""What a placements file makes of answers, over HTTP on a real Valkey."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.server import serving
from tests.support.world import World, customer, product

PLACEMENTS = {
    "plain": {"size": 10},
    "ruled": {
        "size": 10,
        "objective": "revenue",
        "max_per_brand": 1,
        "boost": [{"product_ids": [product("tea", 9)], "factor": 1000}],
        "bury": [{"attribute": "colour", "values": ["red"], "factor": 0.5}],
        "pin": [{"product_id": product("coffee", 4), "rank": 2}],
        "exclude": [{"product_ids": [product("tea", 3)]}],
    },
    "decaf": {"exclude": [{"attribute": "department", "values": ["COFFEE"]}]},
}


@pytest.fixture(scope="module")
def warnings() -> list[logging.LogRecord]:
    """What the service warned of."""
    return []


@pytest.fixture(scope="module")
def shop(
    trained_world: World, tmp_path_factory: pytest.TempPathFactory, warnings: list[logging.LogRecord]
) -> Iterator[httpx.Client]:
    """A client of a service with PLACEMENTS."""
    path = tmp_path_factory.mktemp("placements") / "placements.json"
    path.write_text(json.dumps(PLACEMENTS))
    settings = trained_world.settings.model_copy(update={"placements_file": path})

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warnings.append(record)

    listener = Listener(logging.WARNING)
    logging.getLogger("app.composition.service").addHandler(listener)
    with serving(settings, trained_world.redis_url) as client:
        yield client
    logging.getLogger("app.composition.service").removeHandler(listener)


def answer(shop: httpx.Client, placement: str, **fields: object) -> dict[str, Any]:
    question = {"placement": placement, "customer_id": customer("tea", 3), "context": {"now": "2026-10-01T00:00:00Z"}}
    response = shop.post("/v1/decisions", json=question | fields)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [row["product_id"] for row in found["propositions"]]


def test_placement_s_rules_shape_the_slate(shop: httpx.Client) -> None:
    plain, pinned = answer(shop, "plain"), answer(shop, "ruled", explain=True)
    assert ids(plain)[0] == product("tea", 3)
    assert product("tea", 3) not in ids(pinned)
    assert ids(pinned)[:2] == [product("tea", 9), product("coffee", 4)]
    assert pinned["propositions"][1]["reasons"] == [{"code": "pinned", "text": "Chosen by the store"}]
    assert [row["rank"] for row in pinned["propositions"]] == list(range(1, 11))
    assert pinned["degraded"] == []
    boosted = pinned["propositions"][0]["factors"]
    assert boosted["rule_boost"] > 0
    assert boosted["value_minor"] == pytest.approx(boosted["probability"] * boosted["price_minor"])
    assert boosted["price_minor"] == 250
    assert pinned["trace"]["placement"] == {
        "objective": "revenue",
        "boosted_count": 1,
        "buried_count": 0,
        "pinned_count": 1,
        "over_cap_count": 0,
    }
    assert pinned["trace"]["dropped"]["excluded_by_rule"] == {"count": 1, "product_ids": [product("tea", 3)]}


def test_excluded_department_never_shows(shop: httpx.Client) -> None:
    looked_at = {"recent": [product("coffee", 1)], "now": "2026-10-01T00:00:00Z"}
    found = answer(shop, "decaf", context=looked_at, customer_id=customer("coffee", 1), size=60)
    assert {name.split("-")[0] for name in ids(found)} == {"tea"}


def test_request_s_objective_wins_over_the_placement_s(shop: httpx.Client) -> None:
    assert answer(shop, "ruled", explain=True, objective="relevance")["trace"]["placement"]["objective"] == "relevance"
    assert "value_minor" in answer(shop, "plain", explain=True, objective="revenue")["propositions"][0]["factors"]
    assert ids(answer(shop, "plain", objective="relevance")) == ids(answer(shop, "plain"))
    assert "placement" not in answer(shop, "plain", explain=True, objective="relevance")["trace"]


def test_unknown_objective_is_refused(shop: httpx.Client) -> None:
    refused = shop.post("/v1/decisions", json={"placement": "plain", "customer_id": "x", "objective": "profit"})
    assert (refused.status_code, refused.json()["pointer"]) == (422, "/objective")


def test_rule_that_the_catalogue_cannot_follow_is_logged_once(
    shop: httpx.Client, warnings: list[logging.LogRecord]
) -> None:
    for _ in range(3):
        answer(shop, "ruled")
    found = [(record.__dict__["placement"], record.__dict__["detail"]) for record in warnings]
    assert found == [
        ("ruled", "the catalogue has no attribute 'brand'"),
        ("ruled", "the catalogue has no attribute 'colour'"),
    ]
