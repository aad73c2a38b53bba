"""What tills and staff send may name a customer in any way: it is about the one customer, whatever they are called."""

from collections.abc import Callable

import httpx
import pytest

from tests.api.customers.test_identities import link
from tests.support.shop import Shop

Name = Callable[[str], str]
NAMES = [lambda one: f"~device:dev-{one}", lambda one: f"~customer_id:{one}", lambda one: f"~loyalty_card:card-{one}"]


@pytest.fixture
def shop(api: httpx.Client, new_id: str) -> Shop:
    """A shop in which `new_id` has a device and a card."""
    link(api, new_id, "device", f"dev-{new_id}")
    link(api, new_id, "loyalty_card", f"card-{new_id}")
    return Shop(api, "")


@pytest.mark.parametrize("name", NAMES)
def test_redemption_under_any_name_counts_for_whoever_they_are_linked_with_later(
    shop: Shop, api: httpx.Client, new_id: str, name: Name
) -> None:
    offer, other = shop.offer(shop.campaign(limits=[{"scope": "customer", "count": 1}])), f"other-{new_id}"
    codes = [shop.give(offer, who)["code"] for who in (new_id, other)]
    held = shop.reserve(1000, codes=codes[:1], customer_id=name(new_id))["reservation_id"]
    shop.redeem(1000, reservation_id=held, customer_id=name(new_id))
    link(api, other, "customer_id", new_id)
    refused = shop.redeem(1000, codes=codes[1:], customer_id=other, status=409)
    assert refused["code"] == "customer_limit_reached"


@pytest.mark.parametrize("name", NAMES)
def test_coupons_tiers_and_audiences_under_any_name_are_the_customers(shop: Shop, new_id: str, name: Name) -> None:
    campaign = shop.campaign()
    offer = shop.offer(campaign, issue={"by": "audience"}, tiers=["gold"])
    decided = shop.offer(campaign, issue={"by": "decision"})
    shop.put(f"/v1/customers/{name(new_id)}/membership", {"tier": "gold"})
    shop.post(f"/v1/campaigns/{campaign}/audience", {"customer_ids": [name(new_id)]}, status=200)
    shop.post(f"/v1/campaigns/{campaign}/coupons", {"offer_id": offer, "audience": True})
    shop.give(offer, name(new_id))
    activated = shop.post("/v1/coupons", {"offer_id": decided, "customer_id": name(new_id)})
    assert activated == shop.post("/v1/coupons", {"offer_id": decided, "customer_id": new_id})
    assert len(shop.wallet(new_id)) == 3
    quote = shop.validate(1000, customer_id=new_id, wallet=True)
    assert quote["discount_minor"] >= 200
