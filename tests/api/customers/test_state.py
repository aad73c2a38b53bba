"""State over HTTP: begun on one channel, gone on with on another."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.api.conftest import Ask
from tests.api.customers.test_consents import say
from tests.api.customers.test_identities import link, products, report, separate
from tests.support.world import product


def state(api: httpx.Client, who: str) -> dict[str, Any]:
    response = api.get(f"/v1/customers/{who}/state")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def act(kind: str, new_id: str, minutes_ago: int, **fields: object) -> dict[str, object]:
    at = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat()
    return {"id": f"{kind}-{minutes_ago}-{new_id}", "type": kind, "time": at} | fields


def test_cart_begun_on_the_web_goes_on_in_the_app_and_ends_at_the_till(api: httpx.Client, new_id: str) -> None:
    cookie, card, tea, coffee = f"c-{new_id}", f"~loyalty_card:{new_id}", product("tea", 1), product("coffee", 1)
    report(
        api,
        act("view_item", new_id, 50, anonymous_id=cookie, channel="web", product_id=tea),
        act("add_to_cart", new_id, 40, anonymous_id=cookie, channel="web", product_id=tea),
        act("add_to_wishlist", new_id, 35, anonymous_id=cookie, channel="web", product_id=coffee),
    )
    assert state(api, new_id)["cart"] == []
    link(api, new_id, "cookie", cookie)
    found = state(api, new_id)
    assert [line["product_id"] for line in found["cart"]] == [tea]
    assert [one["product_id"] for one in found["saved"]] == [coffee]
    assert [one["product_id"] for one in found["recently_viewed"]] == [tea]
    assert (found["journey"]["stage"], found["journey"]["channels"]) == ("cart", ["web"])
    assert state(api, f"~cookie:{cookie}")["cart"] == found["cart"]
    link(api, new_id, "loyalty_card", new_id)
    report(api, act("purchase", new_id, 5, customer_id=card, channel="store", product_id=tea, basket_id=new_id))
    assert (state(api, new_id)["cart"], state(api, new_id)["journey"]) == ([], None)
    separate(api, new_id, "loyalty_card", new_id)
    assert [line["product_id"] for line in state(api, new_id)["cart"]] == [tea]


def test_saved_products_outlast_a_hundred_other_events(api: httpx.Client, new_id: str) -> None:
    report(api, act("add_to_wishlist", new_id, 50, customer_id=new_id, product_id=product("tea", 1)))
    report(api, *(
        act("view_item", f"{n}-{new_id}", 40, customer_id=new_id, product_id=product("coffee", 1)) for n in range(120)
    ))  # fmt: skip
    assert [one["product_id"] for one in state(api, new_id)["saved"]] == [product("tea", 1)]


def test_views_are_no_part_of_the_state_without_consent(api: httpx.Client, new_id: str) -> None:
    report(
        api,
        act("view_item", new_id, 50, customer_id=new_id, product_id=product("tea", 1)),
        act("add_to_cart", new_id, 40, customer_id=new_id, product_id=product("tea", 2)),
    )
    say(api, new_id, "withdrawn")
    found = state(api, new_id)
    assert (found["recently_viewed"], found["journey"], found["degraded"]) == ([], None, ["consent_missing"])
    assert [line["product_id"] for line in found["cart"]] == [product("tea", 2)]


def test_what_was_removed_from_the_cart_is_of_no_interest_any_more(api: httpx.Client, ask: Ask, new_id: str) -> None:
    looked_at = {"customer_id": new_id, "product_id": product("coffee", 1)}
    unknown = products(ask(anonymous_id=f"other-{new_id}"))
    report(api, act("view_item", new_id, 9, **looked_at), act("add_to_cart", new_id, 8, **looked_at))
    assert products(ask(customer_id=new_id)) != unknown
    report(api, act("remove_from_cart", new_id, 7, **looked_at))
    assert products(ask(customer_id=new_id)) == unknown
