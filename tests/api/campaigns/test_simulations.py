"""A campaign is tried on past baskets over HTTP, as it is or changed, and nothing is changed by that."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.tables import metadata
from tests.support.server import serving
from tests.support.shop import Shop, new_name
from tests.support.world import CUSTOMERS_PER_TASTE, World, customer, product

STAPLE = product("tea", 0)
OFF = {"type": "amount", "amount_minor": 50}


@pytest.fixture(scope="module")
def store(trained_world: World) -> Iterator[Shop]:
    """A service on the trained world, whose baskets cost 2.50 a line."""
    with serving(trained_world.settings, trained_world.redis_url) as client:
        yield Shop(client, trained_world.settings.ledger_url)


@pytest.fixture
def campaign_id(store: Shop) -> str:
    """A running campaign with an offer for all of tea."""
    made = store.campaign(budget_minor=1_000)
    store.offer(made, discount=OFF, applies_to=[{"attribute": "department", "values": ["TEA"]}])
    return made


def simulated(store: Shop, campaign_id: str, **body: object) -> dict[str, Any]:
    response = store.client.post(f"/v1/campaigns/{campaign_id}/simulate", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_campaign_as_it_is(store: Shop, campaign_id: str) -> None:
    found = simulated(store, campaign_id)
    assert found["customers_reached"] == {"value": CUSTOMERS_PER_TASTE, "standard_error": 0}
    assert found["baskets_qualifying"]["value"] == CUSTOMERS_PER_TASTE
    assert found["discount_minor"]["value"] == 50 * CUSTOMERS_PER_TASTE
    assert found["mean_discount_minor"] == 50
    assert found["budget_used_up_on"] is not None
    assert found["share_seen"] == 1


def test_its_audience_alone_has_coupons(store: Shop, campaign_id: str) -> None:
    people = [customer("tea", 1), customer("tea", 2), customer("coffee", 1)]
    store.post(f"/v1/campaigns/{campaign_id}/audience", {"customer_ids": people}, status=200)
    assert simulated(store, campaign_id)["customers_reached"]["value"] == 2
    assert simulated(store, campaign_id, everybody=True)["customers_reached"]["value"] == CUSTOMERS_PER_TASTE


def test_a_changed_campaign_is_tried_and_not_saved(store: Shop, campaign_id: str) -> None:
    before = contents(store)
    terms = {"name": "tried", "currency": "EUR", "limits": [{"scope": "campaign", "count": 3}]}
    offer = {"terms": {"name": "more off", "discount": {"type": "amount", "amount_minor": 100}}}
    assert simulated(store, campaign_id, terms=terms)["baskets_qualifying"]["value"] == 3
    alone = simulated(store, campaign_id, terms=terms, offers=[offer], offer_ids=[])
    assert [(one["offer_id"], one["discount_minor"]) for one in alone["offers"]] == [("new-0", 300)]
    assert contents(store) == before


def contents(store: Shop) -> dict[str, list[Any]]:
    """Every row of the ledger."""
    ledger = open_ledger(store.ledger_url)
    rows = ledger.read(lambda connection: {
        table.name: sorted(map(tuple, connection.execute(select(table))), key=repr) for table in metadata.sorted_tables
    })  # fmt: skip
    ledger.close()
    return rows


def test_a_sample_is_scaled_up(store: Shop, campaign_id: str) -> None:
    found = simulated(store, campaign_id, basket_count=100, seed=3)
    assert found["baskets_seen"] <= 100
    assert found["customers_reached"]["standard_error"] > 0
    assert found["customers_reached"]["value"] == pytest.approx(
        CUSTOMERS_PER_TASTE, abs=4 * found["customers_reached"]["standard_error"]
    )


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"days": 91}, "/days"),
        ({"basket_count": 20_001}, "/basket_count"),
        ({"terms": {"name": "x", "currency": "euro"}}, "/terms/currency"),
        ({"offers": [{"terms": {"name": "x", "discount": {"type": "gift"}}}]}, "/offers/0/terms/discount/type"),
        ({"later": 1}, "/later"),
    ],
)
def test_a_fault_is_pointed_at(store: Shop, campaign_id: str, body: dict[str, object], pointer: str) -> None:
    response = store.client.post(f"/v1/campaigns/{campaign_id}/simulate", json=body)
    assert response.status_code == 422, response.text
    assert response.json()["pointer"] == pointer


def test_an_unknown_campaign_is_not_found(store: Shop) -> None:
    response: httpx.Response = store.client.post(f"/v1/campaigns/{new_name()}/simulate", json={})
    assert (response.status_code, response.json()["code"]) == (404, "campaign_not_found")
