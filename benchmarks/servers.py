"""Servers for measurements: started as processes on loopback, watched from outside, ended by process id."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import orjson

from app.stores.embedded import free_port

START_TIMEOUT_S = 60.0


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


@contextmanager
def python_server(code: str, environment: dict[str, str], *, cpu: int | None = None) -> Iterator[Server]:
    """Runs Python `code` that serves on the port in argv[1], pinned to one core if asked; ready on its first answer."""
    port = free_port()
    pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*pin, sys.executable, "-c", code, str(port)], env=os.environ | one_thread | environment, start_new_session=True
    )
    server = Server(port, process.pid)
    try:
        _wait(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Server, process: "subprocess.Popen[bytes]") -> None:
    deadline = monotonic() + START_TIMEOUT_S
    while monotonic() < deadline and process.poll() is None:
        try:
            connection = server.connection()
            connection.request("GET", "/openapi.json")
            connection.getresponse().read()
            return
        except OSError:
            sleep(0.05)
    raise RuntimeError(f"the server on port {server.port} did not start")


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
import sys, uvicorn
from app.main import create_app
from app.settings import Settings
settings = Settings.load(port=int(sys.argv[1]))
uvicorn.run(create_app(settings, settings.redis_url), port=settings.port, log_config=None, access_log=False,
            loop="uvloop", http="httptools")
"""

SERVE_EMPTY = """
import os, sys, orjson, uvicorn
from benchmarks.empty import create_empty_app
body = orjson.loads(os.environ["EMPTY_BODY"])
uvicorn.run(create_empty_app(body), port=int(sys.argv[1]), log_config=None, access_log=False,
            loop="uvloop", http="httptools")
"""
