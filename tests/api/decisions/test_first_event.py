"""Somebody whom training never saw gets answers of their own from the first event on."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.conftest import Ask
from tests.support.world import TASTES, product


def ids(answer: dict[str, Any]) -> list[str]:
    return [proposition["product_id"] for proposition in answer["propositions"]]


def send(api: httpx.Client, **fields: object) -> None:
    event = {"id": uuid4().hex, "time": datetime.now(UTC).isoformat(), "channel": "web"} | fields
    response = api.post("/v1/events", json={"events": [event]})
    assert [row["status"] for row in response.json()["results"]] == ["accepted"]


@pytest.mark.parametrize("kind", ["customer_id", "anonymous_id"])
@pytest.mark.parametrize(
    "event_type",
    ["view_item", "select_item", "scan_item", "add_to_cart", "add_to_wishlist", "begin_checkout", "purchase"],
)
def test_first_event_makes_the_next_answer_personal(api: httpx.Client, ask: Ask, kind: str, event_type: str) -> None:
    """The same person in two lives: what they look at decides what they are shown."""
    answers = {}
    for taste in TASTES:
        person = {kind: uuid4().hex}
        before = ask(**person)
        send(api, **person, type=event_type, product_id=product(taste, 5))
        after = answers[taste] = ask(**person)
        assert ids(after) != ids(before)
        assert all(name.startswith(taste) for name in ids(after))
        assert "customer_unknown" not in after["degraded"]
        assert {reason["code"] for row in after["propositions"] for reason in row["reasons"]} != {"trending"}
    assert not set(ids(answers["tea"])) & set(ids(answers["coffee"]))


def test_each_further_event_counts_too(api: httpx.Client, ask: Ask, new_id: str) -> None:
    send(api, customer_id=new_id, type="view_item", product_id=product("tea", 5))
    only_tea = ask(customer_id=new_id, size=20)
    send(api, customer_id=new_id, type="view_item", product_id=product("coffee", 5))
    mixed = ask(customer_id=new_id, size=20, explain=True)
    assert all(name.startswith("tea") for name in ids(only_tea))
    assert {name.split("-")[0] for name in ids(mixed)} == set(TASTES)
    assert mixed["trace"]["live_event_count"] == 2
