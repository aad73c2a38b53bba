"""What the API's tests share: one running service on the small retailer."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.settings import Settings
from tests.support.postgres import PostgresServer
from tests.support.server import serving
from tests.support.shop import Shop
from tests.support.world import World

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


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, valkey_server: str
) -> Iterator[Shop]:
    """A service without a model and without keys, its ledger on each engine."""
    with ExitStack() as stack:
        settings = Settings.load(data_dir=tmp_path_factory.mktemp("shop"))
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            settings = settings.model_copy(update={"database_url": stack.enter_context(server.database())})
        client = stack.enter_context(serving(settings, valkey_server.removesuffix("/0") + "/4"))
        yield Shop(client, settings.ledger_url)
