"""Store staff over HTTP: what they may see, within consent, and that every look is noted."""

from typing import Any

import httpx

from tests.api.customers.test_consents import say
from tests.api.customers.test_identities import link, report
from tests.api.customers.test_state import act
from tests.support.world import customer, product

WHY = {"staff_id": "emma", "reason": "wants another size"}


def look(api: httpx.Client, who: str, **parameters: str) -> dict[str, Any]:
    response = api.get(f"/v1/clienteling/customers/{who}", params=WHY | parameters)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def looks(api: httpx.Client, who: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = api.get("/v1/audit", params={"customer_id": who}).json()["entries"]
    return entries


def test_associate_sees_purchases_saved_products_and_what_to_show(api: httpx.Client, new_id: str) -> None:
    who = customer("tea", 30)
    link(api, who, "loyalty_card", new_id)
    report(api, act("add_to_wishlist", new_id, 5, customer_id=who, product_id=product("tea", 2)))
    found = look(api, f"~loyalty_card:{new_id}")
    assert found["purchases"][0]["name"].startswith("The tea")
    assert [one["product_id"] for one in found["saved"]] == [product("tea", 2)]
    assert len(found["recommendations"]) == 10
    last_bought = [one["last_bought"] for one in found["purchases"]]
    assert last_bought == sorted(last_bought, reverse=True)


def test_without_consent_staff_see_what_the_customer_put_there_and_no_profile(api: httpx.Client, new_id: str) -> None:
    who = customer("tea", 31)
    say(api, who, "withdrawn")
    report(api, act("add_to_wishlist", new_id, 5, customer_id=who, product_id=product("tea", 2)))
    found = look(api, who)
    assert (found["purchases"], found["recommendations"], found["degraded"]) == ([], [], ["consent_missing"])
    assert [one["product_id"] for one in found["saved"]] == [product("tea", 2)]


def test_every_look_is_noted_with_who_when_and_why(api: httpx.Client, new_id: str) -> None:
    look(api, new_id)
    look(api, new_id, staff_id="otto", reason="complaint 17")
    assert [(one["staff_id"], one["reason"], one["value"], one["client"]) for one in looks(api, new_id)] == [
        ("emma", WHY["reason"], new_id, "local"),
        ("otto", "complaint 17", new_id, "local"),
    ]


def test_look_without_a_reason_is_refused_and_shows_nothing(api: httpx.Client, new_id: str) -> None:
    for parameters in ({"staff_id": "emma"}, {"reason": "curious"}, WHY | {"reason": "x"}):
        assert api.get(f"/v1/clienteling/customers/{new_id}", params=parameters).status_code == 422
    assert looks(api, new_id) == []
