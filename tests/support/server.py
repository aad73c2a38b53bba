"""The service on a real socket inside the test's process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import httpx
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.edge.connections import connection_type
from app.main import create_app
from app.settings import Settings
from app.stores.redis.server.embedded import free_port


@contextmanager
def serving(
    settings: Settings, redis_url: str, *, connection: type[HttpToolsProtocol] | None = None
) -> Iterator[httpx.Client]:
    """A client of the service, which ends with the block; `connection` in place of the class of `endcap serve`."""
    port = free_port()
    config = uvicorn.Config(
        create_app(settings, redis_url),
        port=port,
        log_config=None,
        access_log=False,
        http=connection or connection_type(settings.max_connections),
        ws="none",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, "the server starts")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def wait_until(holds: object, what: str, *, timeout_s: float = 60.0) -> None:
    """Returns once `holds()` is true; fails when that takes too long."""
    assert callable(holds)
    deadline = monotonic() + timeout_s
    while monotonic() < deadline:
        if holds():
            return
        sleep(0.01)
    raise AssertionError(f"waited {timeout_s} s in vain until {what}")
