"""Requests to be forgotten over HTTP, and what counts from the answer on."""

import httpx

from tests.api.conftest import Ask
from tests.api.customers.test_consents import say
from tests.api.customers.test_identities import link, report
from tests.support.shop import Shop
from tests.support.world import product


def test_from_the_answer_on_nothing_is_taken_used_or_noted_of_the_person(
    api: httpx.Client, ask: Ask, new_id: str
) -> None:
    device, view = f"dev-{new_id}", {"type": "view_item", "product_id": product("tea", 1)}
    link(api, new_id, "device", device)
    say(api, new_id, "granted")
    assert report(api, {"id": f"1-{new_id}", "customer_id": new_id} | view) == ["accepted"]
    erasure = api.delete(f"/v1/customers/~device:{device}")
    assert erasure.status_code == 202
    assert ask(customer_id=new_id)["degraded"] == ["consent_missing"]
    late = [{"id": f"2-{new_id}", "customer_id": new_id}, {"id": f"3-{new_id}", "anonymous_id": device}]
    late += [{"id": f"4-{new_id}", "customer_id": f"other-{new_id}", "anonymous_id": device}]
    assert report(api, *(one | view for one in late)) == ["rejected"] * 3
    login = {"id": f"5-{new_id}", "type": "login", "customer_id": f"other-{new_id}", "anonymous_id": device}
    assert report(api, login) == ["rejected"]
    said = {"status": "granted", "source": "app"}
    refused = api.put(f"/v1/customers/{new_id}/consents/personalization", json=said)
    assert (refused.status_code, refused.json()["code"]) == (409, "erased")
    assert api.put(f"/v1/customers/other-{new_id}/identities/device/{device}").status_code == 409


def test_no_till_and_no_staff_brings_the_person_back(api: httpx.Client, new_id: str) -> None:
    shop, card = Shop(api, ""), f"~loyalty_card:card-{new_id}"
    offer = shop.offer(shop.campaign(), issue={"by": "decision"})
    campaign = shop.get(f"/v1/offers/{offer}")["campaign_id"]
    link(api, new_id, "loyalty_card", f"card-{new_id}")
    code = shop.issue(offer, code=f"OPEN-{new_id}"[:16].upper())[0]["code"]
    api.delete(f"/v1/customers/{new_id}").raise_for_status()
    order = {"codes": [code], "customer_id": card}
    refused = [
        shop.redeem(1000, status=409, **order),
        shop.reserve(1000, status=409, **order),
        shop.post("/v1/coupons", {"offer_id": offer, "customer_id": new_id}, status=409),
        shop.put(f"/v1/customers/{new_id}/membership", {"tier": "gold"}, status=409),
    ]
    assert {one["code"] for one in refused} == {"erased"}
    for path in ("coupons", "audience"):
        body = {"customer_ids": [f"other-{new_id}", new_id]} | ({"offer_id": offer} if path == "coupons" else {})
        one = shop.post(f"/v1/campaigns/{campaign}/{path}", body, status=409)
        assert (one["code"], one["detail"].split(" was")[0]) == ("erased", "customer 2 of the 2 named here")
    named = [f"other-{new_id}", f"~customer_id:other-{new_id}", new_id]
    twice = shop.post(f"/v1/campaigns/{campaign}/audience", {"customer_ids": named}, status=409)
    assert twice["detail"].startswith("customer 3 of the 3 named here was")
    assert shop.redeem(1000, codes=[code])["discount_minor"] == 200
    assert shop.wallet(f"other-{new_id}") == []


def test_request_may_be_repeated_and_is_one_erasure(api: httpx.Client, new_id: str) -> None:
    first, again = (api.delete(f"/v1/customers/{new_id}").json() for _ in range(2))
    assert first["erasure_id"] == again["erasure_id"]
    found = api.get(f"/v1/erasures/{first['erasure_id']}").json()
    assert (found["status"], found["receipt"], found["steps"]) == ("running", None, {})
    assert new_id not in str(found)


def test_erasure_that_nobody_requested_is_not_found(api: httpx.Client) -> None:
    assert api.get("/v1/erasures/ers_none").json()["code"] == "erasure_not_found"


def test_export_holds_what_was_said_and_done_under_every_name(api: httpx.Client, new_id: str) -> None:
    link(api, new_id, "device", f"dev-{new_id}")
    say(api, new_id, "granted")
    report(api, {"id": new_id, "type": "view_item", "anonymous_id": f"dev-{new_id}", "product_id": product("tea", 1)})
    found = api.get(f"/v1/customers/{new_id}/export").json()
    assert found["identities"] == [f"a:dev-{new_id}", f"c:{new_id}"]
    assert {row["key"] for row in found["ledger"]["consents"]} == set(found["identities"])
    assert [event["event_id"] for event in found["redis"]["live"]] == [new_id]
