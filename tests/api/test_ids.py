"""Any id that a door accepts names the same thing in a path, over HTTP."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from app.offers.terms.documents import parse_document
from app.offers.terms.terms import CampaignTerms, OfferTerms
from app.stores.sql.campaigns.campaigns import create_campaign, create_offer
from app.stores.sql.database.engine import open_ledger
from tests.support.shop import TWO_OFF, Shop, new_name

ODD = ["spring/2026", "a b", "ä?#", "%2F", "/", "a//b", "..", "x/end", "1+1&2=3"]
TERMS: Mapping[str, Any] = {"name": "An offer", "discount": TWO_OFF}


def imported(shop: Shop, campaign_id: str, offer_id: str) -> None:
    """A campaign and an offer as imports make them, which take any id."""
    now = datetime.now(UTC)
    ledger = open_ledger(shop.ledger_url)
    campaign = parse_document(CampaignTerms, {"name": "K", "currency": "EUR"})
    offer = parse_document(OfferTerms, dict(TERMS))
    ledger.write(lambda connection: create_campaign(connection, campaign_id, campaign, now=now))
    ledger.write(lambda connection: create_offer(connection, campaign_id, offer_id, offer, now=now))
    ledger.close()


@pytest.mark.parametrize("odd", ODD)
def test_any_id_reaches_its_campaign_offer_and_customer(shop: Shop, odd: str) -> None:
    campaign_id, offer_id, customer_id = (f"{new_name()}{odd}" for _ in range(3))
    imported(shop, campaign_id, offer_id)
    path = f"/v1/campaigns/{quote(campaign_id, safe='')}"
    assert shop.get(path)["campaign_id"] == campaign_id
    assert shop.post(f"{path}/schedule", status=200)["status"] == "running"
    of_offer = f"/v1/offers/{quote(offer_id, safe='')}"
    assert shop.get(of_offer)["offer_id"] == offer_id
    assert shop.put(of_offer, {"terms": TERMS})["revision"] == 2
    shop.post(f"{path}/coupons", {"offer_id": offer_id, "customer_ids": [customer_id]})
    of_customer = f"/v1/customers/{quote(customer_id, safe='')}"
    assert shop.put(f"{of_customer}/membership", {"tier": "gold"})["customer_id"] == customer_id
    assert len(shop.get(f"{of_customer}/wallet")["coupons"]) == 1
    missing = shop.post(f"/v1/redemptions/{quote(odd, safe='')}x/rollback", {}, status=404)
    assert (missing["code"], repr(f"{odd}x") in missing["detail"]) == ("redemption_not_found", True)
    assert shop.post(f"{path}/end", status=200)["status"] == "ended"
    assert shop.delete(of_offer)["is_active"] is False
