"""Prices of stores: what is shown there, what a reduction may name, and what was paid before."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.places.conftest import eventually, level

Json = dict[str, Any]
Report = Callable[..., list[Json]]
Decide = Callable[..., Json]


def price(product_id: str, minor: int | None, *, hours_ago: float = 0, **fields: object) -> Json:
    """The price of a product from so many hours ago on."""
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    money = None if minor is None else {"amount_minor": minor, "currency": "EUR"}
    return {"type": "price_changed", "time": at.isoformat(), "product_id": product_id, "price": money} | fields


def prices(slate: Json) -> dict[str, int]:
    """What is shown for each product."""
    return {one["product_id"]: one["price"]["amount_minor"] for one in slate["propositions"] if one["price"]}


def test_price_of_the_store_is_shown_there_and_nowhere_else(report: Report, decide: Decide) -> None:
    report(level("s0", "tea-1", 5), level("s1", "tea-1", 5), level("online", "tea-1", 50))
    assert [one["status"] for one in report(price("tea-1", 199, store_id="s0"))] == ["accepted"]
    eventually(lambda: prices(decide(store_id="s0")).get("tea-1") == 199)
    slate = decide(store_id="s0")
    [one] = [one for one in slate["propositions"] if one["product_id"] == "tea-1"]
    by_way = {(option["way"], option["store_id"]): option["price"]["amount_minor"] for option in one["options"]}
    assert by_way == {("in_store", "s0"): 199, ("pickup", "s0"): 199, ("ship", "online"): 250}
    assert one["expected_value"]["amount_minor"] == round(one["probability"] * 199)
    assert prices(decide(store_id="s1"))["tea-1"] == 250
    assert decide(store_id="s1")["price_version"] == slate["price_version"] == 1


def test_price_for_all_stores_gives_way_to_a_store_of_its_own(report: Report, decide: Decide) -> None:
    report(level("s0", "tea-1", 5), level("s1", "tea-1", 5))
    report(price("tea-1", 199, store_id="s0"), price("tea-1", 299))
    eventually(lambda: prices(decide(store_id="s1")).get("tea-1") == 299)
    assert prices(decide(store_id="s0"))["tea-1"] == 199
    report(price("tea-1", None, store_id="s0"))
    eventually(lambda: prices(decide(store_id="s0")).get("tea-1") == 299)


def test_store_with_a_currency_of_its_own_shows_its_own_prices_alone(
    report: Report, decide: Decide, places_api: httpx.Client
) -> None:
    places_api.put("/v1/stores/zurich", json={"currency": "CHF", "ways": {"in_store": {}}})
    report(*(level(store_id, name, 5) for store_id in ("zurich", "online") for name in ("tea-1", "coffee-1")))
    own = {"price": {"amount_minor": 320, "currency": "CHF"}}
    assert report(price("tea-1", 0, store_id="zurich") | own, price("coffee-1", 410))[0]["status"] == "accepted"
    eventually(lambda: prices(decide(store_id="zurich")) == {"tea-1": 320})
    by_product = {one["product_id"]: one for one in decide(store_id="zurich")["propositions"]}
    tea = by_product["tea-1"]
    assert tea["price"] == own["price"]
    assert tea["expected_value"] == {"amount_minor": round(tea["probability"] * 320), "currency": "CHF"}
    assert [(one["way"], one["price"]) for one in tea["options"]] == [("in_store", own["price"]), ("ship", None)]
    assert [one["price"] for one in by_product["coffee-1"]["options"]] == [None, None]
    assert (by_product["coffee-1"]["price"], by_product["coffee-1"]["expected_value"]) == (None, None)
    # From elsewhere the same products cost what they cost there.
    assert prices(decide())["coffee-1"] == 410


def test_reduction_names_the_lowest_price_before_and_a_raise_helps_nothing(
    report: Report, decide: Decide, places_api: httpx.Client
) -> None:
    report(level("s0", "tea-1", 5))
    # Known for longer than 30 days only where the history was imported: here it is too short for any reduction.
    report(price("tea-1", 300, hours_ago=40), price("tea-1", 200, hours_ago=1))
    eventually(lambda: prices(decide(store_id="s0")).get("tea-1") == 200)
    [one] = [one for one in decide(store_id="s0")["propositions"] if one["product_id"] == "tea-1"]
    assert "reference_price" not in one
    history = places_api.get("/v1/prices/tea-1").json()
    assert [row["price"]["amount_minor"] for row in history["prices"]] == [200, 300]
    assert history["reference_price"] is None


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"price": {"amount_minor": 199, "currency": "USD"}}, "currency_mismatch"),
        ({"price": {"amount_minor": -1, "currency": "EUR"}}, "invalid_event"),
        ({"store_id": "nowhere"}, "store_not_found"),
        ({"available": 3}, "invalid_event"),
    ],
)
def test_price_that_cannot_be_is_rejected_with_its_reason(report: Report, event: Json, code: str) -> None:
    [result] = report(price("tea-1", 199, store_id="s0") | event)
    assert (result["status"], result["code"]) == ("rejected", code)
