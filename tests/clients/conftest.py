"""What the tests of generated clients share: a running service, its live document, and the generators."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.tools import ClientTools, installed_tools
from tests.support.repository import skip_unless_ci
from tests.support.server import serving
from tests.support.world import World


@pytest.fixture(scope="session")
def tools() -> ClientTools:
    """The generators; where they can neither be found nor downloaded, only CI insists on them."""
    try:
        return installed_tools()
    except subprocess.CalledProcessError as error:
        skip_unless_ci(f"the generators of clients could not be installed: {error.output}")


@pytest.fixture(scope="session")
def service(trained_world: World) -> Iterator[httpx.Client]:
    """A client of the service that runs on the trained world."""
    with serving(trained_world.settings, trained_world.redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def document(service: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The OpenAPI document as the running service sends it."""
    file = tmp_path_factory.mktemp("document") / "openapi.json"
    file.write_bytes(service.get("/openapi.json").raise_for_status().content)
    return file
