"""What the API's tests share: one running service on the small retailer."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.server import serving
from tests.world import World

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def api(trained_world: World) -> Iterator[httpx.Client]:
    """A client of the service that runs on the trained world."""
    with serving(trained_world.settings, trained_world.redis_url) as client:
        yield client


@pytest.fixture
def ask(api: httpx.Client) -> Ask:
    """Posts a decision request for app_home and returns the answer; keywords become fields."""

    def post(**fields: object) -> dict[str, Any]:
        response = api.post("/v1/decisions", json={"placement": "app_home"} | fields)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    return post


@pytest.fixture
def new_id() -> str:
    """An id that no other test uses."""
    return uuid4().hex


@pytest.fixture
def own_api(own_world: World) -> Iterator[httpx.Client]:
    """A service on `own_world`, which looks for new bundles often."""
    settings = own_world.settings.model_copy(update={"reload_interval_ms": 10})
    with serving(settings, own_world.redis_url) as client:
        yield client
