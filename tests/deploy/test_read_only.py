"""Endcap under the restrictions of its container: a read-only root, a user without rights, as deploy/ has it."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from app.stores.redis.server.embedded import free_port
from tests.deploy.dockerfile import Dockerfile
from tests.deploy.read_only import read_only
from tests.support.repository import ROOT
from tests.support.running import STOP_TIMEOUT_S, bare_environment, endcap
from tests.support.server import wait_until
from tests.support.world import World

IMAGE = Dockerfile.read((ROOT / "Dockerfile").read_text())


@dataclass(frozen=True, slots=True)
class Container:
    """The two folders that one may write to, and what the image and its files in deploy/ set."""

    data: Path
    tmp: Path

    def command(self, *words: str) -> list[str]:
        """A command line inside."""
        return read_only([self.data, self.tmp], *words)

    def environment(self) -> Mapping[str, str]:
        """The image's variables, its folders replaced by these."""
        places = {"/data": str(self.data), "/tmp": str(self.tmp)}
        set_by_image = {
            name: next((value.replace(old, new) for old, new in places.items() if value.startswith(old)), value)
            for name, value in IMAGE.environment().items()
            if name != "PATH"
        }
        return bare_environment() | set_by_image | {"HOME": str(self.data), "TMPDIR": str(self.tmp)}


@pytest.fixture
def container(trained_world: World, tmp_path: Path) -> Container:
    """With the data of a small retailer, who has a model."""
    shutil.copytree(trained_world.settings.data_dir, tmp_path / "data")
    (tmp_path / "tmp").mkdir()
    return Container(tmp_path / "data", tmp_path / "tmp")


@pytest.fixture
def address(container: Container) -> Iterator[str]:
    """Where `endcap up` answers inside."""
    port = free_port()
    command = container.command(*endcap("up", "--port", str(port), "--workers", "1"))
    with subprocess.Popen(command, cwd=container.data, env=container.environment()) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            wait_until(lambda: process.poll() is not None or is_ready(client), "a bundle is served")
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        assert process.wait(STOP_TIMEOUT_S) == 0


def is_ready(client: httpx.Client) -> bool:
    """True once /readyz says so."""
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_nothing_but_the_two_folders_can_be_written(container: Container) -> None:
    script = f'touch "{container.data}/a" "{container.tmp}/b" && ! touch "{ROOT}/c" "$1" && [ "$(id -u)" = 10001 ]'
    home = container.data.parent / "d"
    subprocess.run(container.command("sh", "-c", script, "sh", str(home)), check=True, stderr=subprocess.DEVNULL)
    assert not home.exists()


def test_whole_service_runs_on_a_read_only_root(container: Container, address: str) -> None:
    event = {"id": "1", "type": "search", "time": datetime.now(UTC).isoformat(), "customer_id": "900"}
    with httpx.Client(base_url=address, timeout=10) as client:
        accepted = client.post("/v1/events", json={"events": [event | {"channel": "web"}]})
        decided = client.post("/v1/decisions", json={"customer_id": "900", "placement": "app_home"})
        measured = client.get("/metrics")
    assert [row["status"] for row in accepted.json()["results"]] == ["accepted"], accepted.text
    assert decided.json()["propositions"]
    assert 'endcap_processes{part="worker"} 1.0' in measured.text
    trained = container.command(*endcap("train", "--budget-minutes", "0.01"))
    done = subprocess.run(trained, cwd=container.data, env=container.environment(), capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    assert sorted((container.data / "bundles").glob("*/manifest.json"))
