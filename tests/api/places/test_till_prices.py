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
        body = {"codes": ["none"], "lines": [{"product_id": product_id} | fields.pop("line", {})]} | fields
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
