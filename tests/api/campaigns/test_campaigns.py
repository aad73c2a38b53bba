"""Campaigns and offers over HTTP: made, changed, run, paid for; on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.shop import TWO_OFF, Shop, new_name, reasons

TERMS = {"name": "Spring", "currency": "EUR"}


def test_new_campaign_is_a_draft_with_the_terms_sent(shop: Shop) -> None:
    terms = {"name": "Spring", "funder": "Acme", "currency": "EUR", "budget_minor": 5000, "time_zone": "Europe/Berlin"}
    campaign_id = new_name()
    made = shop.post("/v1/campaigns", {"campaign_id": campaign_id, "terms": terms})
    assert made == shop.get(f"/v1/campaigns/{campaign_id}")
    assert made["campaign_id"] == campaign_id
    assert (made["status"], made["revision"], made["remaining_minor"]) == ("draft", 1, 5000)
    assert made["terms"].items() >= terms.items()
    assert shop.post("/v1/campaigns", {"terms": TERMS})["campaign_id"].startswith("cmp_")


def test_campaign_goes_through_its_states(shop: Shop) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    later = shop.draft(starts_at=soon)
    assert shop.act(later, "schedule")["status"] == "scheduled"
    campaign_id = shop.draft()
    statuses = [shop.act(campaign_id, action)["status"] for action in ("schedule", "pause", "resume", "end", "reopen")]
    assert statuses == ["running", "paused", "running", "ended", "paused"]
    refused = shop.post(f"/v1/campaigns/{campaign_id}/schedule", status=409)
    assert (refused["code"], refused["pointer"]) == ("bad_transition", "/action")
    assert shop.post(f"/v1/campaigns/{campaign_id}/explode", status=422)["code"] == "invalid_request"


def test_campaigns_are_listed_page_by_page_the_newest_first(shop: Shop) -> None:
    mine = [shop.draft() for _ in range(3)]
    found, after = [], ""
    while after is not None:
        page = shop.get("/v1/campaigns", {"limit": "2"} | ({"after": after} if after else {}))
        assert len(page["campaigns"]) <= 2
        found += [campaign["campaign_id"] for campaign in page["campaigns"]]
        after = page["next"]
    assert found[:3] == mine[::-1]
    assert len(found) == len(set(found))
    assert shop.get("/v1/campaigns", {"after": "nobody's"}, status=404)["code"] == "campaign_not_found"


def test_offers_are_listed_as_they_were_made(shop: Shop) -> None:
    campaign_id = shop.draft()
    mine = [shop.offer(campaign_id) for _ in range(3)]
    assert [one["offer_id"] for one in shop.get(f"/v1/campaigns/{campaign_id}/offers")["offers"]] == mine


def test_taken_id_and_outdated_revision_are_conflicts(shop: Shop) -> None:
    campaign_id = shop.draft()
    taken = shop.post("/v1/campaigns", {"campaign_id": campaign_id, "terms": TERMS}, status=409)
    assert taken["code"] == "already_exists"
    path = f"/v1/campaigns/{campaign_id}"
    assert shop.put(path, {"revision": 1, "terms": TERMS | {"name": "Summer"}})["revision"] == 2
    outdated = shop.put(path, {"revision": 1, "terms": TERMS}, status=409)
    assert outdated["code"] == "revision_conflict"
    assert shop.get(path)["terms"]["name"] == "Summer"
    offer_id = shop.offer(campaign_id)
    taken = shop.post(f"{path}/offers", {"offer_id": offer_id, "terms": OFFER}, status=409)
    assert taken["code"] == "already_exists"
    assert shop.put(f"/v1/offers/{offer_id}", {"revision": 7, "terms": OFFER}, status=409)["code"] == (
        "revision_conflict"
    )


OFFER = {"name": "Two off", "discount": TWO_OFF}
DEEP = {"type": "all", "of": [{"type": "any", "of": [{"type": "basket_total", "at_least_minor": "ten"}]}]}


@pytest.mark.parametrize(
    ("fault", "pointer"),
    [
        ({"name": ""}, "/terms/name"),
        ({"currency": "euro"}, "/terms/currency"),
        ({"budget_minor": -1}, "/terms/budget_minor"),
        ({"limits": [{"scope": "code", "count": 1}, {"scope": "moon", "count": 1}]}, "/terms/limits/1/scope"),
        ({"budget": 5}, "/terms/budget"),
        ({"funder": "a\x00b"}, "/terms/funder"),
        ({"starts_at": "0001-01-01T00:00:00+14:00"}, "/terms/starts_at"),
        ({"ends_at": "9999-12-31T23:59:59-14:00"}, "/terms/ends_at"),
        ({"limits": [{"scope": "campaign", "count": 2**31}]}, "/terms/limits/0/count"),
    ],
)
def test_pointer_leads_to_the_fault_of_a_campaign(shop: Shop, fault: dict[str, Any], pointer: str) -> None:
    refused = shop.post("/v1/campaigns", {"terms": TERMS | fault}, status=422)
    assert (refused["code"], refused["pointer"]) == ("invalid_terms", pointer)
    assert refused["detail"].startswith(pointer)


@pytest.mark.parametrize(
    ("fault", "pointer"),
    [
        ({"discount": {"type": "amount", "amount_minor": 0}}, "/terms/discount/amount_minor"),
        ({"discount": {"type": "gift"}}, "/terms/discount/type"),
        ({"channels": ["web", "mail"]}, "/terms/channels/1"),
        ({"condition": DEEP}, "/terms/condition/of/0/of/0/at_least_minor"),
        ({"gcn": "9501101020918"}, "/terms/gcn"),
    ],
)
def test_pointer_leads_to_the_fault_of_an_offer(shop: Shop, fault: dict[str, Any], pointer: str) -> None:
    refused = shop.post(f"/v1/campaigns/{shop.draft()}/offers", {"terms": OFFER | fault}, status=422)
    assert (refused["code"], refused["pointer"]) == ("invalid_terms", pointer)


def test_what_is_not_there_has_its_own_code(shop: Shop) -> None:
    for path in ("", "/budget", "/offers"):
        assert shop.get(f"/v1/campaigns/none{path}", status=404)["code"] == "campaign_not_found"
    assert shop.put("/v1/campaigns/none", {"terms": TERMS}, status=404)["code"] == "campaign_not_found"
    assert shop.post("/v1/campaigns/none/pause", status=404)["code"] == "campaign_not_found"
    assert shop.post("/v1/campaigns/none/offers", {"terms": OFFER}, status=404)["code"] == "campaign_not_found"
    assert shop.post("/v1/campaigns/none/audience", {"tier": "gold"}, status=404)["code"] == "campaign_not_found"
    assert shop.get("/v1/offers/none", status=404)["code"] == "offer_not_found"
    assert shop.put("/v1/offers/none", {"terms": OFFER}, status=404)["code"] == "offer_not_found"
    assert shop.delete("/v1/offers/none", status=404)["code"] == "offer_not_found"


def test_changed_offer_holds_for_coupons_that_are_out(shop: Shop) -> None:
    offer_id = shop.offer()
    customer_id = new_name()
    shop.give(offer_id, customer_id)
    assert shop.validate(1000, customer_id=customer_id, wallet=True)["discount_minor"] == 200
    changed = OFFER | {"discount": {"type": "amount", "amount_minor": 300}}
    assert shop.put(f"/v1/offers/{offer_id}", {"revision": 1, "terms": changed})["revision"] == 2
    assert shop.validate(1000, customer_id=customer_id, wallet=True)["discount_minor"] == 300


def test_withdrawn_offer_is_issued_no_longer_but_its_coupons_stay_good(shop: Shop) -> None:
    campaign_id = shop.campaign()
    offer_id = shop.offer(campaign_id)
    customer_id = new_name()
    shop.give(offer_id, customer_id)
    assert shop.delete(f"/v1/offers/{offer_id}")["is_active"] is False
    body = {"offer_id": offer_id, "customer_ids": [customer_id]}
    assert shop.post(f"/v1/campaigns/{campaign_id}/coupons", body, status=409)["code"] == "not_issuable"
    assert shop.redeem(1000, customer_id=customer_id, wallet=True)["discount_minor"] == 200
    assert [offer["is_active"] for offer in shop.get(f"/v1/campaigns/{campaign_id}/offers")["offers"]] == [False]


def test_one_budget_is_reported_per_channel(shop: Shop) -> None:
    campaign_id = shop.campaign(budget_minor=500)
    offer_id = shop.offer(campaign_id)
    for channel in ("store", "web"):
        customer_id = new_name()
        shop.give(offer_id, customer_id)
        shop.redeem(1000, customer_id=customer_id, wallet=True, channel=channel)
    budget = shop.get(f"/v1/campaigns/{campaign_id}/budget")
    assert {one["channel"]: one["net_minor"] for one in budget["channels"]} == {"store": 200, "web": 200}
    assert (budget["spent_minor"], budget["held_minor"], budget["remaining_minor"]) == (400, 0, 100)
    assert [entry["kind"] for entry in budget["entries"]] == ["spend", "spend", "budget"]
    less = {"terms": {"name": "A campaign", "currency": "EUR", "budget_minor": 399}}
    refused = shop.put(f"/v1/campaigns/{campaign_id}", less, status=409)
    assert refused["code"] == "budget_below_spend"


def test_settlement_bills_each_funder_for_the_period(shop: Shop) -> None:
    funder = new_name()
    offer_id = shop.offer(shop.campaign(funder=funder))
    customer_id = new_name()
    shop.give(offer_id, customer_id)
    shop.redeem(1000, customer_id=customer_id, wallet=True)
    now = datetime.now(UTC)
    start, end = (now - timedelta(hours=1)).isoformat(), (now + timedelta(hours=1)).isoformat()
    bills = {one["funder"]: one for one in shop.get("/v1/settlements", {"from": start, "to": end})["funders"]}
    assert (bills[funder]["net_minor"], bills[funder]["currency"]) == (200, "EUR")
    before = shop.get("/v1/settlements", {"from": "2020-01-01T00:00:00Z", "to": start})["funders"]
    assert funder not in {one["funder"] for one in before}
    wrong = shop.get("/v1/settlements", {"from": end, "to": start}, status=422)
    assert wrong["pointer"] == "/query/to"


def test_audience_gets_one_coupon_each_however_often_it_is_issued_to(shop: Shop) -> None:
    tier = new_name()
    members = [new_name() for _ in range(3)]
    for customer_id in members:
        assert shop.put(f"/v1/customers/{customer_id}/membership", {"tier": tier})["tier"] == tier
    campaign_id = shop.campaign()
    offer_id = shop.offer(campaign_id)
    path = f"/v1/campaigns/{campaign_id}"
    assert shop.post(f"{path}/audience", {"tier": tier}, status=200)["added_count"] == 3
    another = new_name()
    others = {"customer_ids": [members[0], another, f" {another}", another]}
    assert shop.post(f"{path}/audience", others, status=200)["added_count"] == 1
    everybody = {"offer_id": offer_id, "audience": True}
    first, again = (shop.post(f"{path}/coupons", everybody) for _ in range(2))
    assert (first["issued_count"], first["known_count"]) == (4, 0)
    assert (again["issued_count"], again["known_count"]) == (0, 4)
    assert [len(shop.wallet(customer_id)) for customer_id in members] == [1, 1, 1]
    assert shop.post(f"{path}/audience", {}, status=422)["code"] == "invalid_request"


def test_paused_campaign_gives_nothing_until_it_is_resumed(shop: Shop) -> None:
    campaign_id = shop.campaign()
    customer_id = new_name()
    shop.give(shop.offer(campaign_id), customer_id)
    shop.act(campaign_id, "pause")
    paused = shop.validate(1000, customer_id=customer_id, wallet=True)
    assert reasons(paused) == ["campaign_not_running"]
    refused = shop.redeem(1000, customer_id=customer_id, wallet=True, status=409)
    assert refused["code"] == "campaign_not_running"
    shop.act(campaign_id, "resume")
    assert shop.redeem(1000, customer_id=customer_id, wallet=True)["discount_minor"] == 200
