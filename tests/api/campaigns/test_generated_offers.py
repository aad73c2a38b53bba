"""Offers are generated over HTTP: looked at first, saved once, and redeemed like any other."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.server import serving
from tests.support.shop import Shop, new_name
from tests.support.world import World, product

TIERS = [{"discount": {"type": "percent", "percent": 10}}, {"discount": {"type": "amount", "amount_minor": 100},
                                                          "tiers": ["gold"]}]  # fmt: skip


ALL = {"attribute": "department", "values": ["TEA", "COFFEE"]}


@pytest.fixture(scope="module")
def store(trained_world: World) -> Iterator[Shop]:
    """A service on the trained world, whose products cost 2.50."""
    with serving(trained_world.settings, trained_world.redis_url) as client:
        yield Shop(client, trained_world.settings.ledger_url)


def generation(**more: object) -> dict[str, object]:
    """A request for offers on all of tea."""
    tea = {"attribute": "department", "values": ["TEA"]}
    return {"products": [tea], "value_tiers": TIERS, "product_count": 3} | more


def generated(store: Shop, campaign_id: str, **more: object) -> dict[str, Any]:
    response = store.client.post(f"/v1/campaigns/{campaign_id}/offers/generate", json=generation(**more))
    assert response.status_code == 200, response.text[:500]
    answer: dict[str, Any] = response.json()
    return answer


def offers_of(store: Shop, campaign_id: str) -> list[dict[str, Any]]:
    offers: list[dict[str, Any]] = store.get(f"/v1/campaigns/{campaign_id}/offers")["offers"]
    return offers


def test_drafts_are_shown_and_not_saved(store: Shop) -> None:
    campaign_id = store.campaign()
    found = generated(store, campaign_id)
    assert len(found["drafts"]) == 6
    assert {(one["tier"], one["discount_minor"]) for one in found["drafts"]} == {(0, 25), (1, 100)}
    assert all(one["price_minor"] == 250 and one["price_is_listed"] for one in found["drafts"])
    assert found["saved"] == []
    assert offers_of(store, campaign_id) == []


def test_a_draft_can_be_saved_as_it_is(store: Shop) -> None:
    campaign_id = store.campaign()
    terms = generated(store, campaign_id)["drafts"][0]["terms"]
    assert store.post(f"/v1/campaigns/{campaign_id}/offers", {"terms": terms})["terms"] == terms


def test_save_saves_all_of_them_once(store: Shop) -> None:
    campaign_id, key = store.campaign(), new_name()
    path = f"/v1/campaigns/{campaign_id}/offers/generate"
    first = store.post(path, generation(save=True), key=key)
    assert store.post(path, generation(save=True), key=key) == first
    saved = offers_of(store, campaign_id)
    assert sorted(one["offer_id"] for one in first["saved"]) == [one["offer_id"] for one in saved]
    assert [one["terms"] for one in first["saved"]] == [one["terms"] for one in first["drafts"]]


def test_saving_needs_a_key(store: Shop) -> None:
    campaign_id = store.campaign()
    response = store.client.post(f"/v1/campaigns/{campaign_id}/offers/generate", json=generation(save=True))
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_missing")
    assert offers_of(store, campaign_id) == []


def test_guardrails_leave_products_out(store: Shop) -> None:
    found = generated(store, store.campaign(), guardrails={"max_percent": 20, "price_floor_minor": 226})
    assert found["drafts"] == []
    assert [one["reason"] for one in found["left_out"]] == ["below_floor", "above_max_percent"] * 3
    assert {one["reason"] for one in generated(store, store.campaign(), guardrails={"min_margin_percent": 1})[
        "left_out"]} == {"cost_unknown"}  # fmt: skip


def test_prices_of_another_currency_are_none(store: Shop) -> None:
    found = generated(store, store.campaign(currency="USD"))
    assert {one["reason"] for one in found["left_out"]} == {"price_unknown"}


def test_a_generated_offer_is_redeemed_like_any_other(store: Shop) -> None:
    campaign_id = store.campaign()
    one = {"products": [{"product_ids": [product("tea", 1), "unknown"]}], "value_tiers": TIERS[:1]}
    made = store.post(f"/v1/campaigns/{campaign_id}/offers/generate", generation(save=True, **one))
    coupon = store.give(made["saved"][0]["offer_id"], "anna")
    line = {"product_id": product("tea", 1), "amount_minor": 250}
    redeemed = store.redeem(lines=[line], customer_id="anna", codes=[coupon["code"]])
    assert redeemed["discount_minor"] == made["drafts"][0]["discount_minor"] == 25


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"products": []}, "/products"),
        ({"products": [{"attribute": "department"}]}, "/products/0"),
        ({"value_tiers": [{"discount": {"type": "points", "points": 5}}]}, "/value_tiers/0/discount"),
        ({"template": {"channels": ["fax"]}}, "/template/channels/0"),
        ({"value_tiers": TIERS * 10, "product_count": 60, "products": [ALL]}, "/product_count"),
        ({"guardrails": {"max_percent": 101}}, "/guardrails/max_percent"),
    ],
)
def test_a_fault_is_pointed_at(store: Shop, body: dict[str, object], pointer: str) -> None:
    response = store.client.post(f"/v1/campaigns/{store.campaign()}/offers/generate", json=generation(**body))
    assert response.status_code == 422, response.text[:500]
    assert response.json()["pointer"].startswith(pointer)
