"""A whole `endcap up` as a user starts it, and its processes seen from outside."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import IO, Any

import httpx

import app
from app.stores.redis.server.embedded import free_port
from tests.support.server import wait_until

STOP_TIMEOUT_S = 40
Output = IO[str] | int | None
"""Where a process writes to, as subprocess takes it."""


@dataclass(frozen=True, slots=True)
class Up:
    """One running `endcap up`: its process, its data and a client of its API."""

    process: "subprocess.Popen[bytes]"
    data_dir: Path
    client: httpx.Client

    def parts(self) -> dict[str, int]:
        """The process ids of `valkey-server`, `serve` and `worker`, as far as they run; one of each."""
        return {name: pids[-1] for name in ("valkey-server", "serve", "worker") if (pids := self.pids_of(name))}

    def pids_of(self, part: str) -> list[int]:
        """The ids of all processes of one part."""
        return [pid for pid in self.children() if part in command_of(pid)]

    def children(self) -> list[int]:
        """The ids of all its processes, Valkey among them."""
        return [*map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split())]

    def kill(self, part: str) -> None:
        """kill -9 of one part; returns once it is gone."""
        pid = self.parts()[part]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not command_of(pid), f"{part} is gone")

    def valkey_url(self) -> str:
        """The Redis URL of its embedded server."""
        endpoint = json.loads((self.data_dir / "valkey" / "endpoint.json").read_text())
        return f"redis://127.0.0.1:{endpoint['port']}/0"

    def send(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Posts events; one result per row, none when the service did not answer."""
        try:
            response = self.client.post("/v1/events", json={"events": events})
        except httpx.TransportError:
            return []
        assert response.status_code == 202, response.text
        rows: list[dict[str, Any]] = response.json()["results"]
        return rows

    def interrupt(self) -> int:
        """Ctrl-C; the exit status once it ended."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_TIMEOUT_S)


def run_endcap(data_dir: Path, *words: str) -> str:
    """What the command on this data directory prints; it must end well."""
    done = subprocess.run(
        [*endcap(*words), "--data-dir", str(data_dir)], env=bare_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command_of(pid: int) -> set[str]:
    """The words of a process's command line, its program without folder; empty when it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().split()
    except OSError:
        return set()
    return {Path(word).name for word in words}


@contextmanager
def endcap_up(
    data_dir: Path,
    *,
    stdout: Output = None,
    stderr: Output = DEVNULL,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Up]:
    """`endcap up` with an embedded Valkey on a free port, started in `folder`; ready when its API answers."""
    port = free_port()
    process = subprocess.Popen(
        [*endcap("up"), "--port", str(port), "--data-dir", str(data_dir)],
        # One process of the API is enough for most tests, and all that small machines have time for.
        env=bare_environment()
        | {"ENDCAP_API_PROCESS_COUNT": "1", "ENDCAP_WORKER_INTERVAL_MS": "500"}
        | dict(environment or {}),
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        cwd=folder,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_until(lambda: _answers(client), "the API answers")
            yield Up(process, data_dir, client)
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


@contextmanager
def endcap_serve(
    data_dir: Path,
    redis_url: str,
    *,
    stderr: Output = DEVNULL,
    environment: Mapping[str, str] | None = None,
    **settings: object,
) -> Iterator[str]:
    """The address of one `endcap serve` with these settings, ready to answer."""
    port = free_port()
    variables = {f"ENDCAP_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [*endcap("serve"), "--port", str(port), "--data-dir", str(data_dir)],
        env=bare_environment() | dict(environment or {}) | variables | {"ENDCAP_REDIS_URL": redis_url},
        stderr=stderr,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=address) as client:
            wait_until(lambda: _answers(client), "the API answers")
        yield address
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def endcap(*words: str) -> list[str]:
    """The command line of an `endcap` command."""
    return [sys.executable, "-P", str(Path(app.__file__).with_name("__main__.py")), *words]


def bare_environment() -> dict[str, str]:
    """This environment without any setting of Endcap, and without the folder for metrics that importing Feast sets."""
    others = (name for name in os.environ if not name.startswith("ENDCAP_") and name != "PROMETHEUS_MULTIPROC_DIR")
    return {name: os.environ[name] for name in others}
