"""Connections before any key is looked at: how many, how many bytes of headers, and how many seconds each part takes.

uvicorn bounds none of these by itself: its `limit_concurrency` counts when a request's headers are complete, and its
only time-out is for connections that rest between two requests. The bytes of bodies are bounded by the boundary.
"""

import asyncio
import os
from asyncio import TimerHandle
from time import perf_counter
from typing import ClassVar, cast

from fastapi import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.edge.admission import ARRIVED_AT
from app.api.problems import problem

MAX_HEAD_BYTES = 16_384
"""Of the request line and all headers; proxies and browsers keep to half of it."""
MAX_HEADER_COUNT = 100
HEAD_S = 10.0
BODY_S = 30.0
"""At the largest body these are 33 kB/s, which a bad mobile line carries."""
MAX_UNREAD_BYTES = 10_000_000
"""A caller may send so much of a refused body on: one who reads nothing before all is sent then sees the refusal."""
NO_CONNECTION = "the service has no connection to spare; try again in a second"


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection, which ends when a request is too large or too late to be read."""

    max_connections: ClassVar[int]
    head_s: ClassVar[float]
    body_s: ClassVar[float]
    half_open: "ClassVar[dict[BoundedConnection, None]]"
    """Those whose first request has no complete head yet, the oldest first."""

    _unread_bytes = 0
    _message_number = 0
    _is_in_head = False
    _is_in_body = False
    _pending_bytes = 0
    """Received since the last head, or piece of a body, was complete."""
    _timed: tuple[int, bool, float | None] | None = None
    """The request, and the seconds for the part of it, that the timer runs for."""
    _timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Called by the loop."""
        super().connection_made(transport)
        self._time()
        self.half_open[self] = None
        if len(self.connections) > self.max_connections:
            # Whoever means to send a request has sent it by now: the oldest of the others gives way.
            oldest = next(iter(self.half_open))
            del self.half_open[oldest]
            oldest._refuse(problem(503, "too_many_connections", NO_CONNECTION, headers=_closing()))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if self._timer is not None:
            self._timer.cancel()
        self.half_open.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > MAX_HEAD_BYTES:
            self._refuse(_too_large())
        else:
            self._time()

    def on_message_begin(self) -> None:
        """Called by the parser with the first byte of a request."""
        self._message_number += 1
        self._is_in_head = True
        super().on_message_begin()
        # Beyond what ASGI names: typed as a plain dictionary for that.
        cast("dict[str, object]", self.scope)[ARRIVED_AT] = perf_counter()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser; what follows a body (trailers) is no header of the request."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by the parser; too large a head that came in one piece is refused here."""
        self.half_open.pop(self, None)
        self._pending_bytes = self._unread_bytes = 0
        self._is_in_head, self._is_in_body = False, True
        size = len(self.url) + sum([len(name) + len(value) for name, value in self.headers])
        if size <= MAX_HEAD_BYTES and len(self.headers) <= MAX_HEADER_COUNT:
            super().on_headers_complete()
            return
        app = self.app
        self.app = _too_large()
        super().on_headers_complete()
        self.app = app

    def on_body(self, body: bytes) -> None:
        """Called by the parser with a piece of the body, which nobody takes once the request is answered."""
        self._pending_bytes = 0
        super().on_body(body)
        if not self._is_answering():
            self._unread_bytes += len(body)
            if self._unread_bytes > MAX_UNREAD_BYTES:
                self.transport.close()

    def on_message_complete(self) -> None:
        """Called by the parser at the end of the body."""
        self._pending_bytes = 0
        self._is_in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called where the parser finds no HTTP."""
        self._refuse(problem(400, "malformed_request", "what was sent cannot be read as HTTP/1.1", headers=_closing()))

    def _time(self) -> None:
        """Has the timer run for the part that is awaited; a request that came in one piece needs none."""
        seconds: float | None = self.head_s
        if self._is_in_body:
            seconds = self.body_s
        elif self._is_answering() and not self._is_in_head:
            seconds = None
        timed = (self._message_number, self._is_in_body, seconds)
        if timed == self._timed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timed = timed
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._late, seconds)

    def _late(self, seconds: float) -> None:
        detail = f"the request was not complete within {seconds:.0f} s"
        self._refuse(problem(408, "request_timeout", detail, headers=_closing()))

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, answer: Response) -> None:
        """Says so and closes; where an answer has left or another request is being answered it closes only."""
        if self.transport.is_closing():
            return
        if not (self._is_in_body and self.cycle.response_started) and (self._is_in_body or not self._is_answering()):
            lines = [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
            self.transport.write(b"".join([STATUS_LINE[answer.status_code], *lines, b"\r\n", bytes(answer.body)]))
        if self._is_answering():
            # An application that waits for the rest of a body sees its caller go, and says nothing more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def _too_large() -> Response:
    detail = f"request line and headers may have {MAX_HEAD_BYTES:,} bytes and {MAX_HEADER_COUNT} headers at most"
    return problem(431, "headers_too_large", detail, headers=_closing())


def _closing() -> dict[str, str]:
    return {"Connection": "close", "Retry-After": "1", "X-Request-Id": os.urandom(16).hex()}


def connection_type(max_connections: int, *, head_s: float = HEAD_S, body_s: float = BODY_S) -> type[BoundedConnection]:
    """The class that uvicorn makes its connections of (`http=`), with these bounds."""
    bounds = {"max_connections": max_connections, "head_s": head_s, "body_s": body_s, "half_open": {}}
    return type("Connection", (BoundedConnection,), bounds)
