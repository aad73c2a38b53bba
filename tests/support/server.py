"""The service on a real socket inside the test's process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import httpx
import uvicorn

from app.api.edge.connections import BODY_S, HEAD_S, connection_type
from app.main import create_app
from app.settings import Settings
from app.stores.redis.server.embedded import free_port


@contextmanager
def serving(
    settings: Settings, redis_url: str, *, busy_count: int = 0, head_s: float = HEAD_S, body_s: float = BODY_S
) -> Iterator[httpx.Client]:
    """A client of the service, which ends with the block, as if so many decisions were always under way."""
    port = free_port()
    app = create_app(settings, redis_url)
    admission, keys = app.state.service.admission, app.state.service.keys
    for _ in range(busy_count):
        admission.begin()
    config = uvicorn.Config(
        app,
        port=port,
        log_config=None,
        access_log=False,
        http=connection_type(settings.max_connections, admission, keys=keys, head_s=head_s, body_s=body_s),
        ws="none",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, "the server starts")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
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
