"""API processes on one copy of a data directory, each with a window through which its live tables can be seen."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from app.settings import Settings
from app.stores.redis.server.embedded import free_port, redis_for
from benchmarks.support.servers import Server, python_server, status_of

FOLLOWS_EVERY_S = 0.05
NEVER_S = 1e6
"""A follower that waits so long between its turns is frozen."""

SERVE_PLACES = """
import os, sys
from app import main
from app.api.edge.connections import connection_type
from app.processes.server import listen, serve_on
from app.settings import Settings
from benchmarks.places.window import open_window
main.PLACES_REFRESH_S = float(os.environ["PLACES_REFRESH_S"])
settings = Settings.load(port=int(sys.argv[1]))
app = main.create_app(settings, settings.redis_url)
open_window(app.state.service.places, int(os.environ["WINDOW_PORT"]))
connection = connection_type(settings.max_connections, app.state.service.admission)
serve_on(listen("127.0.0.1", settings.port), app, connection)
"""


@dataclass(frozen=True, slots=True)
class Process:
    """One API process: `window` is the port at which it shows its tables."""

    server: Server
    window: Server

    def seen(self) -> tuple[str, float]:
        """The digest of its tables now, and how long before they were known to be right."""
        status, body = status_of(self.window, "/")
        if status != 200:
            raise RuntimeError(f"the window at port {self.window.port} gave {status}")
        found = orjson.loads(body)
        return found["digest"], found["staleness_s"]


@contextmanager
def copied(data_dir: Path) -> Iterator[tuple[Settings, str]]:
    """The settings of a copy of the data directory, and the URL of its own Redis."""
    with TemporaryDirectory(prefix="endcap-places-") as folder, ExitStack() as stack:
        copy = Path(folder) / "var"
        shutil.copytree(data_dir, copy, ignore=shutil.ignore_patterns("up.lock", "reports"))
        settings = Settings.load(data_dir=copy)
        yield settings, stack.enter_context(redis_for(settings))


@contextmanager
def processes(
    settings: Settings, redis_url: str, *, count: int = 2, follows_every_s: float = FOLLOWS_EVERY_S
) -> Iterator[Sequence[Process]]:
    """So many API processes, ready; they look for changes of stock so often."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            port = free_port()
            environment = {
                "ENDCAP_REDIS_URL": redis_url,
                "ENDCAP_DATA_DIR": str(settings.data_dir),
                # A busy machine may be late: what is shown is the question, not how fast.
                "ENDCAP_FEATURE_TIMEOUT_MS": "5000",
                "ENDCAP_LOG_LEVEL": "ERROR",
                "PLACES_REFRESH_S": str(follows_every_s),
                "WINDOW_PORT": str(port),
            }
            server = stack.enter_context(python_server(SERVE_PLACES, environment))
            found.append(Process(server, Server(port, server.pid)))
        yield found
