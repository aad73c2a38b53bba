"""A shop with two stores and an online warehouse, served from the small retailer's model."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.server import serving, wait_until
from tests.support.world import World

Json = dict[str, Any]
PICKUP: Json = {"in_store": {}, "pickup": {"lead_minutes": 60}}
STORES: dict[str, Json] = {
    "s0": {"position": {"latitude": 52.52, "longitude": 13.40}, "ways": PICKUP},
    "s1": {"position": {"latitude": 52.40, "longitude": 13.07}, "ways": PICKUP},
    "online": {"kind": "warehouse", "ways": {"ship": {"lead_working_days": 2, "cut_off": "15:00"}}},
}


@pytest.fixture
def places_api(own_world: World) -> Iterator[httpx.Client]:
    """A service on a copy of the small retailer, its stores on the map and without stock."""
    settings = own_world.settings.model_copy(update={"currency": "EUR"})
    with serving(settings, own_world.redis_url) as client:
        for store_id, store in STORES.items():
            assert client.put(f"/v1/stores/{store_id}", json=store).status_code == 200
        yield client


@pytest.fixture
def report(places_api: httpx.Client) -> Callable[..., list[Json]]:
    """Sends place events, fields over defaults, and gives what became of each."""

    def send(*events: Json) -> list[Json]:
        now = datetime.now(UTC).isoformat()
        rows = [{"id": uuid4().hex, "type": "inventory_changed", "time": now} | event for event in events]
        answer = places_api.post("/v1/events", json={"events": rows})
        assert answer.status_code == 202, answer.text
        results: list[Json] = answer.json()["results"]
        return results

    return send


@pytest.fixture
def decide(places_api: httpx.Client) -> Callable[..., Json]:
    """Asks for a slate of everything; keywords are the context."""

    def ask(*, size: int = 100, **context: object) -> Json:
        body = {"placement": "app_home", "anonymous_id": "a", "size": size, "exclude": [], "context": context}
        answer = places_api.post("/v1/decisions", json=body)
        assert answer.status_code == 200, answer.text
        slate: Json = answer.json()
        return slate

    return ask


def level(store_id: str, product_id: str, available: float) -> Json:
    """So much is there."""
    return {"store_id": store_id, "product_id": product_id, "available": available}


def shown(slate: Json) -> set[str]:
    """The products of a slate."""
    return {one["product_id"] for one in slate["propositions"]}


def eventually(condition: Callable[[], bool]) -> None:
    """Waits until every process knows; raises when it takes longer than some seconds."""
    wait_until(condition, "the change is known", timeout_s=5)
