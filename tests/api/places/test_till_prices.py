"""The price that a store shows is the price that its till charges, whatever changes in between."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.places.conftest import eventually, level

Json = dict[str, Any]
Report = Callable[..., list[Json]]
Decide = Callable[..., Json]
Charged = Callable[..., int]


def priced(product_id: str, amount_minor: int | None, store_id: str | None = None) -> Json:
    """A price of its own for a store, or for all others; None takes it away."""
    price = None if amount_minor is None else {"amount_minor": amount_minor, "currency": "EUR"}
    event: Json = {"type": "price_changed", "product_id": product_id, "price": price}
    return event if store_id is None else event | {"store_id": store_id}


def price_of(slate: Json, product_id: str) -> int:
    """What the slate says of a product."""
    [price] = [one["price"]["amount_minor"] for one in slate["propositions"] if one["product_id"] == product_id]
    return int(price)


@pytest.fixture
def charged(places_api: httpx.Client) -> Charged:
    """What a basket of one line costs before coupons: one piece of a product, fields over it."""

    def charge(product_id: str, **fields: Any) -> int:
        body = {
            "customer_id": "ann",
            "wallet": True,
            "lines": [{"product_id": product_id} | fields.pop("line", {})],
        } | fields
        answer = places_api.post("/v1/validations", json=body)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["basket_minor"])

    return charge


def test_the_price_shown_for_a_store_is_charged_there_and_the_slate_s_elsewhere(
    report: Report, decide: Decide, charged: Charged
) -> None:
    report(level("s0", "tea-1", 5), level("s1", "tea-1", 5))
    report(priced("tea-1", 199, "s0"), priced("tea-1", 189, "s1"))
    eventually(lambda: price_of(decide(store_id="s0", fulfilment=["in_store"]), "tea-1") == 199)
    # Who wants to collect it in another store is shown that store's price next to their own.
    slate = decide(store_id="s0", fulfilment=["in_store", "ship"])
    other = decide(pickup_store_id="s1", store_id="s0")
    assert [(one["store_id"], one["price"]["amount_minor"]) for one in other["propositions"][0]["options"]] == [
        ("s1", 189)
    ]
    assert price_of(other, "tea-1") == 199
    decision_id = slate["decision_id"]
    assert charged("tea-1", decision_id=decision_id, store_id="s0") == 199
    assert charged("tea-1", decision_id=decision_id, store_id="s1") == 199
    assert charged("tea-1", decision_id=decision_id) == 199
    assert charged("tea-1", decision_id=other["decision_id"], store_id="s1") == 189
    # What the till asks counts, as long as it is no more than what was shown.
    dearer, cheaper = {"unit_price_minor": 250}, {"unit_price_minor": 150}
    assert charged("tea-1", decision_id=other["decision_id"], store_id="s1", line=dearer) == 189
    assert charged("tea-1", decision_id=other["decision_id"], store_id="s1", line=cheaper) == 150


def test_a_line_without_a_price_costs_what_the_store_charges_now(report: Report, charged: Charged) -> None:
    # The product table says 2.50 of every tea.
    assert charged("tea-1", store_id="s0") == charged("tea-1") == charged("tea-1", store_id="unknown") == 250
    report(priced("tea-1", 240), priced("tea-1", 199, "s0"), priced("milk", 99, "s0"))
    eventually(lambda: charged("tea-1", store_id="s0") == 199)
    assert charged("tea-1", store_id="s1") == charged("tea-1") == 240
    assert charged("tea-1", store_id="s0", line={"quantity": 2.5}) == 498
    # The table of products need not have it.
    assert charged("milk", store_id="s0") == 99
    # What the till asks counts.
    assert charged("tea-1", store_id="s0", line={"unit_price_minor": 260}) == 260
    report(priced("tea-1", None, "s0"))
    eventually(lambda: charged("tea-1", store_id="s0") == 240)


def test_a_line_of_which_no_price_is_known_here_is_refused(report: Report, places_api: httpx.Client) -> None:
    report(priced("milk", 99, "s0"))
    swiss = {"ways": {"in_store": {}}, "currency": "CHF"}
    assert places_api.put("/v1/stores/swiss", json=swiss).status_code == 200
    report(priced("tea-1", 300, "swiss") | {"price": {"amount_minor": 300, "currency": "CHF"}})

    def answer(product_id: str, **fields: str) -> Json:
        body = {"customer_id": "ann", "wallet": True, "lines": [{"product_id": product_id}]} | fields
        found: Json = places_api.post("/v1/validations", json=body).json()
        return found

    eventually(lambda: answer("tea-1", store_id="swiss", currency="CHF").get("basket_minor") == 300)
    assert answer("milk", store_id="s0")["basket_minor"] == 99
    for refused in (
        answer("milk", store_id="s1"),
        answer("milk"),
        answer("milk", store_id="s0", currency="CHF"),
        answer("coffee-1", store_id="swiss", currency="CHF"),
    ):
        assert (refused["code"], refused["pointer"]) == ("invalid_request", "/lines/0")
        assert "no price of product" in refused["detail"]
