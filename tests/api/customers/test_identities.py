"""One customer on every channel, over HTTP: identities linked, separated, and what follows from it at once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.api.conftest import Ask
from tests.support.world import customer, product

NOW = datetime.now(UTC).isoformat()


def link(api: httpx.Client, owner: str, kind: str, value: str) -> dict[str, Any]:
    response = api.put(f"/v1/customers/{owner}/identities/{kind}/{value}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def separate(api: httpx.Client, owner: str, kind: str, value: str) -> dict[str, Any]:
    response = api.delete(f"/v1/customers/{owner}/identities/{kind}/{value}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def report(api: httpx.Client, *events: Mapping[str, object]) -> list[str]:
    rows = [{"time": NOW} | dict(event) for event in events]
    response = api.post("/v1/events", json={"events": rows})
    assert response.status_code == 202, response.text
    return [result["status"] for result in response.json()["results"]]


def products(answer: dict[str, Any]) -> list[str]:
    return [proposition["product_id"] for proposition in answer["propositions"]]


def test_device_that_is_linked_gets_the_customers_answer(api: httpx.Client, ask: Ask, new_id: str) -> None:
    known = ask(customer_id=customer("tea", 3))
    assert products(ask(anonymous_id=new_id)) != products(known)
    answer = link(api, customer("tea", 3), "device", new_id)
    assert answer["customer_id"] == customer("tea", 3)
    assert {"type": "device", "value": new_id} in answer["identities"]
    assert products(ask(anonymous_id=new_id)) == products(known)
    separate(api, customer("tea", 3), "device", new_id)
    assert products(ask(anonymous_id=new_id)) != products(known)


def test_view_on_a_linked_device_counts_for_the_customer_until_it_is_separated(
    api: httpx.Client, ask: Ask, new_id: str
) -> None:
    who, device = new_id, f"dev-{new_id}"
    link(api, who, "device", device)
    view = {"id": f"v-{new_id}", "type": "view_item", "anonymous_id": device, "product_id": product("coffee", 1)}
    assert report(api, view) == ["accepted"]
    assert ask(customer_id=who, explain=True)["trace"]["live_event_count"] == 1
    separate(api, who, "device", device)
    assert ask(customer_id=who, explain=True)["trace"]["live_event_count"] == 0
    assert ask(anonymous_id=device, explain=True)["trace"]["live_event_count"] == 1


def test_loyalty_card_alone_lands_in_the_app_users_profile(api: httpx.Client, ask: Ask, new_id: str) -> None:
    card = f"~loyalty_card:{new_id}"
    sold = {"id": f"s-{new_id}", "type": "purchase", "customer_id": card, "product_id": product("tea", 1)}
    assert report(api, sold | {"basket_id": new_id}) == ["accepted"]
    link(api, f"app-{new_id}", "loyalty_card", new_id)
    trace = ask(customer_id=f"app-{new_id}", explain=True)["trace"]
    assert trace["live_event_count"] == 1
    assert ask(customer_id=card, explain=True)["trace"]["live_event_count"] == 1


def test_login_links_the_device_and_logout_separates_it_in_whichever_order_they_come(
    api: httpx.Client, ask: Ask, new_id: str
) -> None:
    device = f"dev-{new_id}"
    view = {"id": f"v-{new_id}", "type": "view_item", "anonymous_id": device, "product_id": product("coffee", 1)}
    login = {"id": "in", "type": "login", "customer_id": new_id, "anonymous_id": device, "time": "2026-10-01T08:00:00Z"}
    logout = login | {"id": "out", "type": "logout", "time": "2026-10-01T09:00:00Z"}
    assert report(api, view, login) == ["accepted", "accepted"]
    assert ask(customer_id=new_id, explain=True)["trace"]["live_event_count"] == 1
    assert report(api, logout) == ["accepted"]
    assert report(api, login) == ["duplicate"]
    assert ask(customer_id=new_id, explain=True)["trace"]["live_event_count"] == 0
    assert report(api, login | {"id": "in-2", "time": "2026-10-01T10:00:00Z"}) == ["accepted"]
    assert ask(customer_id=new_id, explain=True)["trace"]["live_event_count"] == 1


def test_device_of_another_moves_and_the_answer_says_whose_it_was(api: httpx.Client, new_id: str) -> None:
    link(api, f"a-{new_id}", "device", new_id)
    assert link(api, f"b-{new_id}", "device", new_id)["moved_from"] == f"a-{new_id}"
    assert link(api, f"b-{new_id}", "device", new_id)["moved_from"] is None
    identities = api.get(f"/v1/customers/a-{new_id}/identities").json()["identities"]
    assert identities == [{"type": "customer_id", "value": f"a-{new_id}"}]


def test_type_that_cannot_be_is_refused_by_name(api: httpx.Client, new_id: str) -> None:
    response = api.put(f"/v1/customers/{new_id}/identities/Loyalty-Card/1")
    assert response.status_code == 422
    assert "'Loyalty-Card'" in response.json()["detail"]


def test_id_that_stands_for_many_people_joins_no_more_than_a_hundred(api: httpx.Client, new_id: str) -> None:
    events = [
        {"id": f"in-{n}", "type": "login", "customer_id": new_id, "anonymous_id": f"{new_id}-{n}"} for n in range(101)
    ]
    assert report(api, *events) == ["accepted"] * 99 + ["rejected"] * 2
