"""The HTTP server of one process: on a socket that others share, and ended without a request lost."""

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import BadSetting

BACKLOG = 2048
KEEP_ALIVE_S = 5
"""So long an idle connection stays open."""
# Less than the supervisor waits before it kills.
GRACE_S = 10


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises BadSetting when the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # It reuses the address: otherwise connections closed a moment ago (TIME_WAIT) would keep the port.
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise BadSetting(f"{host}:{port} cannot be used ({error.strerror or error}); choose another --port") from None


def serve_on(
    listener: socket.socket,
    app: Callable[..., object],
    connection: type[HttpToolsProtocol],
    *,
    on_started: Callable[[], None] | None = None,
) -> bool:
    """Serves until SIGTERM or SIGINT; False when the application did not start."""
    config = uvicorn.Config(
        app,
        # uvicorn's own set-up would replace the JSON lines, and the boundary logs requests already.
        log_config=None,
        access_log=False,
        loop="uvloop",
        http=connection,
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _DrainedServer(config, on_started)
    # uvicorn raises the signals again that ended it.
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return server.started


class _DrainedServer(uvicorn.Server):
    """Ends as gently as clients allow: on SIGTERM no connection is closed that its client may be about to use."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn."""
        await super().startup(sockets)
        if self._on_started is not None:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn: nothing new is accepted, each answer says `Connection: close`, idle clients time out."""
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for connection in self.server_state.connections:
            if isinstance(connection, HttpToolsProtocol) and connection.cycle is not None:
                # Of a request that is being answered: its answer has its headers already, or soon.
                connection.cycle.keep_alive = False
        until = monotonic() + KEEP_ALIVE_S + 1
        while self.server_state.connections and monotonic() < until and signal.SIGINT not in self._captured_signals:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)
