"""What happens to events: checked row by row, counted once, visible in the next decision."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import Ask
from tests.support.world import product

NOW = datetime.now(UTC)


def event(event_id: str, **fields: object) -> dict[str, object]:
    """A view of one tea by somebody."""
    row: dict[str, object] = {
        "id": event_id,
        "type": "view_item",
        "time": NOW.isoformat(),
        "product_id": product("tea", 1),
    }
    return row | fields


def send(api: httpx.Client, *rows: object) -> list[dict[str, Any]]:
    response = api.post("/v1/events", json={"events": list(rows)})
    assert response.status_code == 202, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_accepted_event_is_in_the_next_decision(api: httpx.Client, ask: Ask, new_id: str) -> None:
    send(api, event(new_id, anonymous_id=new_id, product_id=product("coffee", 4)))
    answer = ask(anonymous_id=new_id, explain=True)
    assert answer["trace"]["last_event_id"] == new_id
    assert answer["propositions"][0]["product_id"].startswith("coffee")


def test_purchase_is_known_to_the_next_decision(api: httpx.Client, ask: Ask, new_id: str) -> None:
    send(api, event(new_id, type="purchase", customer_id=new_id, product_id=product("tea", 9)))
    slate = ask(customer_id=new_id, exclude=["purchased"], size=50)
    assert product("tea", 9) not in [proposition["product_id"] for proposition in slate["propositions"]]


def test_replayed_event_counts_once(api: httpx.Client, ask: Ask, new_id: str) -> None:
    row = event(new_id, customer_id=new_id)
    statuses = [send(api, row)[0]["status"] for _ in range(3)]
    assert statuses == ["accepted", "duplicate", "duplicate"]
    assert ask(customer_id=new_id, explain=True)["trace"]["live_event_count"] == 1


def test_event_twice_in_one_batch_counts_once(api: httpx.Client, new_id: str) -> None:
    row = event(new_id, customer_id=new_id)
    assert [result["status"] for result in send(api, row, row)] == ["accepted", "duplicate"]


def test_event_of_several_items_counts_each(api: httpx.Client, ask: Ask, new_id: str) -> None:
    items = [{"product_id": product("tea", number), "quantity": 2, "amount_minor": 500} for number in (1, 2)]
    row = event(new_id, type="purchase", customer_id=new_id, product_id=None, items=items)
    assert send(api, row)[0]["status"] == "accepted"
    slate = ask(customer_id=new_id, exclude=["purchased"], size=50)
    shown = {proposition["product_id"] for proposition in slate["propositions"]}
    assert not shown & {product("tea", 1), product("tea", 2)}


def test_refund_takes_the_purchase_back(api: httpx.Client, ask: Ask, new_id: str) -> None:
    bought = event(new_id, type="purchase", customer_id=new_id)
    later = (NOW + timedelta(seconds=1)).isoformat()
    send(api, bought, event(f"{new_id}-r", type="refund", customer_id=new_id, time=later))
    slate = ask(customer_id=new_id, exclude=["purchased"], size=100)
    assert product("tea", 1) in [proposition["product_id"] for proposition in slate["propositions"]]


@pytest.mark.parametrize(
    "back",
    [
        {"type": "refund"},
        {"amount_minor": -300},
        {"product_id": None, "items": [{"product_id": product("tea", 1), "amount_minor": -300}]},
    ],
)
def test_purchase_of_a_negative_amount_is_a_refund(
    api: httpx.Client, ask: Ask, new_id: str, back: dict[str, Any]
) -> None:
    send(api, event(new_id, type="purchase", customer_id=new_id, amount_minor=300))
    send(api, event(f"{new_id}-back", customer_id=new_id) | {"type": "purchase"} | back)
    slate = ask(customer_id=new_id, exclude=["purchased"], size=100)
    assert product("tea", 1) in [proposition["product_id"] for proposition in slate["propositions"]]


def test_voided_line_of_a_receipt_is_taken_and_not_bought(api: httpx.Client, ask: Ask, new_id: str) -> None:
    items = [{"product_id": product("tea", number), "quantity": number - 1} for number in (1, 2)]
    row = event(new_id, type="purchase", customer_id=new_id, product_id=None, items=items)
    assert send(api, row)[0]["status"] == "accepted"
    slate = ask(customer_id=new_id, exclude=["purchased"], size=50)
    shown = [proposition["product_id"] for proposition in slate["propositions"]]
    assert (product("tea", 1) in shown, product("tea", 2) in shown) == (True, False)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type": "teleport"}, "unknown_event_type"),
        ({"time": "2026-10-01T00:00:00"}, "invalid_event"),
        ({"time": "2199-01-01T00:00:00Z"}, "time_in_future"),
        ({"time": "2999-01-01T00:00:00Z"}, "invalid_event"),
        ({"time": "0001-01-01T00:00:00+01:00"}, "invalid_event"),
        ({"product_id": None}, "invalid_event"),
        ({"customer_id": None}, "invalid_event"),
        ({"quantity": -1}, "invalid_event"),
        ({"colour": "red"}, "invalid_event"),
    ],
)
def test_faulty_row_is_rejected_and_the_others_are_kept(
    api: httpx.Client, new_id: str, fields: dict[str, object], code: str
) -> None:
    good = event(f"{new_id}-good", customer_id=new_id)
    results = send(api, event(new_id, **({"customer_id": new_id} | fields)), good, 17)
    assert [result["status"] for result in results] == ["rejected", "accepted", "rejected"]
    assert (results[0]["id"], results[0]["code"]) == (new_id, code)


@pytest.mark.parametrize("field", ["id", "customer_id", "product_id", "session_id", "type", "time", "colour"])
def test_half_of_a_surrogate_pair_costs_its_own_row_alone(api: httpx.Client, new_id: str, field: str) -> None:
    rows = [event(f"{new_id}-good", customer_id=new_id), event(new_id, customer_id=new_id) | {field: "\ud800"}]
    answer = api.post("/v1/events", content=json.dumps({"events": rows}), headers={"Content-Type": "application/json"})
    assert answer.status_code == 202, answer.text
    assert [result["status"] for result in answer.json()["results"]] == ["accepted", "rejected"]


def test_spaces_around_an_id_are_no_part_of_it(api: httpx.Client, ask: Ask, new_id: str) -> None:
    rows = [event(new_id, customer_id=f"  {new_id} "), event(f"{new_id}\t", customer_id=new_id)]
    assert [result["status"] for result in send(api, *rows)] == ["accepted", "duplicate"]
    assert ask(customer_id=new_id, explain=True)["trace"]["live_event_count"] == 1


def test_batch_beyond_its_bound_is_refused(api: httpx.Client) -> None:
    rows = [event(f"many-{number}", customer_id="many") for number in range(201)]
    assert api.post("/v1/events", json={"events": rows}).status_code == 422


def test_known_id_of_both_kinds_merges_what_the_device_did_before(api: httpx.Client, ask: Ask, new_id: str) -> None:
    send(api, event(new_id, anonymous_id=new_id))
    answer = ask(anonymous_id=new_id, customer_id=f"{new_id}-known", explain=True)
    assert answer["trace"]["live_event_count"] == 1
