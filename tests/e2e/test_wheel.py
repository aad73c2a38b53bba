"""The wheel as docs/operations.md installs it: in an environment of its own, far from the clone, it serves."""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app import __version__
from app.stores.redis.server.embedded import free_port
from tests.support.repository import ROOT
from tests.support.running import bare_environment
from tests.support.server import wait_until
from tests.test_docs import DOCS

BUILD = "-m hatchling build -t wheel"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The `bin` of a new environment that holds the wheel; all other packages are those of this test run."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, *BUILD.split(), "-d", str(folder), cwd=ROOT)
    [wheel] = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"), cwd=folder)
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=folder)
    [packages] = (folder / "venv").glob("lib/python3*/site-packages")
    # A line in a .pth file adds a folder, but not the .pth files in it: the clone that is installed there stays unseen.
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))
    yield python.parent
    shutil.rmtree(folder)


def run(*command: str, cwd: Path) -> str:
    """What the command prints; it must succeed."""
    done = subprocess.run(command, cwd=cwd, env=bare_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_serves_without_the_clone(programs: Path, tmp_path: Path, valkey_server: str) -> None:
    code = "import app, training; print(app.__file__, training.__file__)"
    found = run(str(programs / "python"), "-c", code, cwd=tmp_path)
    assert all(Path(path).is_relative_to(programs.parent) for path in found.split())
    port = free_port()
    command = [str(programs / "endcap"), "serve", "--port", str(port), "--data-dir", str(tmp_path)]
    redis_url = valkey_server.removesuffix("/0") + "/6"
    with subprocess.Popen(command, cwd=tmp_path, env=bare_environment() | {"ENDCAP_REDIS_URL": redis_url}) as server:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                wait_until(lambda: is_up(client), "the API answers")
                answer = client.get("/v1/campaigns")
        finally:
            server.terminate()
    assert (answer.status_code, answer.json()["campaigns"]) == (200, [])


def is_up(client: httpx.Client) -> bool:
    """True once /healthz is answered."""
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


def test_page_builds_the_wheel_as_the_test_does() -> None:
    page = (DOCS / "operations.md").read_text()
    assert f".venv/bin/python {BUILD}\n" in page
    assert set(re.findall(r"dist/[\w.-]+\.whl", page)) == {f"dist/endcap-{__version__}-py3-none-any.whl"}
