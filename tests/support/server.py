"""The service on a real socket inside the test's process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from app.main import create_app
from app.settings import Settings
from app.stores.redis.embedded import free_port
from tests.support.waiting import wait_until

__all__ = ["serving", "wait_until"]


@contextmanager
def serving(settings: Settings, redis_url: str) -> Iterator[httpx.Client]:
    """A client of the service, which ends with the block."""
    port = free_port()
    config = uvicorn.Config(create_app(settings, redis_url), port=port, log_config=None, access_log=False)
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
