"""Servers for measurements: started as processes on loopback, watched from outside, ended by process id."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import orjson

from app.stores.redis.server.embedded import free_port

START_TIMEOUT_S = 60.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Server:
    """One running server: where it listens and which process it is."""

    port: int
    pid: int

    def connection(self) -> http.client.HTTPConnection:
        """A kept-alive connection to it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def cpu_s(self) -> float:
        """CPU seconds that the process has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Resident memory of the process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Service:
    """A whole `endcap up`: `server` is the supervisor's process and the API's port."""

    server: Server
    data_dir: Path
    log_path: Path

    def part(self, name: str) -> int:
        """The process id of `valkey-server`, `serve` or `worker`; raises LookupError while it is down."""
        for pid in self.parts(name):
            return pid
        raise LookupError(f"{name} is not running")

    def parts(self, name: str) -> list[int]:
        """The ids of all processes of one part that run."""
        found = []
        for pid in Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().split()
            except OSError:
                continue
            if any(word == name or word.endswith(f"/{name}") for word in words):
                found.append(int(pid))
        return found

    def kill(self, name: str) -> None:
        """kill -9 of one part, if it runs."""
        try:
            os.kill(self.part(name), signal.SIGKILL)
        except (LookupError, ProcessLookupError):
            return

    def log_lines(self) -> list[dict[str, object]]:
        """What all parts have logged so far."""
        lines = self.log_path.read_bytes().splitlines()
        return [orjson.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}")]


@contextmanager
def endcap_up(
    data_dir: Path, environment: dict[str, str] | None = None, *, ready_at: str = "/readyz", workers: int = 1
) -> Iterator[Service]:
    """`endcap up` on a data directory and a free port, its log in a temporary file; ready when it yields.

    A data directory without a bundle is ready at `/healthz` alone.
    """
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "app.cli",
        "up",
        "--workers",
        str(workers),
        "--port",
        str(port),
        "--data-dir",
        str(data_dir),
    ]
    with TemporaryDirectory(prefix="endcap-log-") as folder:
        log_path = Path(folder) / "up.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command, env=os.environ | (environment or {}), stdout=log, stderr=log, start_new_session=True
            )
        service = Service(Server(port, process.pid), data_dir, log_path)
        try:
            wait_for(lambda: status_of(service.server, ready_at)[0] == 200, process, log_path=log_path)
            yield service
        finally:
            _end(process)


def is_ready(server: Server) -> bool:
    """True once a bundle is live."""
    return status_of(server, "/readyz")[0] == 200


def status_of(server: Server, path: str) -> tuple[int, bytes]:
    """Status and body of one GET; status 0 while nobody answers."""
    connection = server.connection()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


@contextmanager
def python_server(code: str, environment: dict[str, str], *, cpu: int | None = None) -> Iterator[Server]:
    """Runs Python `code` that serves on the port in argv[1], on one core if wanted; ready on its first answer."""
    port = free_port()
    command = [*pinned(cpu), sys.executable, "-c", code, str(port)]
    process = subprocess.Popen(command, env=os.environ | ONE_THREAD | environment, start_new_session=True)
    server = Server(port, process.pid)
    try:
        wait_for(lambda: status_of(server, "/openapi.json")[0] == 200, process)
        yield server
    finally:
        _end(process)


def pinned(cpu: int | None) -> Sequence[str]:
    """The words before a command that keep it on one core; none where that cannot be done."""
    return ["taskset", "-c", str(cpu)] if cpu is not None and can_pin() else []


def can_pin() -> bool:
    """True where there are two cores and a way to assign them."""
    return hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1


def wait_for(is_up: Callable[[], bool], process: "subprocess.Popen[bytes]", *, log_path: Path | None = None) -> None:
    """Returns once `is_up`; raises RuntimeError with the end of the log when the process ends or takes too long."""
    deadline = monotonic() + START_TIMEOUT_S
    while monotonic() < deadline and process.poll() is None:
        if is_up():
            return
        sleep(0.02)
    words = log_path.read_text()[-2000:] if log_path is not None else ""
    raise RuntimeError(f"the server with process id {process.pid} did not start. {words}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def post(connection: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, bytes]:
    """One POST over a kept-alive connection: status and body."""
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, response.read()


def post_json(connection: http.client.HTTPConnection, path: str, body: object) -> tuple[int, dict[str, object]]:
    """The same with JSON in and out."""
    status, answer = post(connection, path, orjson.dumps(body))
    return status, orjson.loads(answer)


SERVE_ENDCAP = """
import sys
from app.api.edge.connections import connection_type
from app.main import create_app
from app.processes.server import listen, serve_on
from app.settings import Settings
settings = Settings.load(port=int(sys.argv[1]))
app = create_app(settings, settings.redis_url)
connection = connection_type(settings.max_connections, app.state.service.admission)
serve_on(listen("127.0.0.1", settings.port), app, connection)
"""

SERVE_EMPTY = """
import os, sys, orjson, uvicorn
from benchmarks.speed.empty import create_empty_app
body = orjson.loads(os.environ["EMPTY_BODY"])
as_bytes = os.environ["EMPTY_AS_BYTES"] == "1"
uvicorn.run(create_empty_app(body, as_bytes=as_bytes), port=int(sys.argv[1]), log_config=None, access_log=False,
            loop="uvloop", http="httptools")
"""
