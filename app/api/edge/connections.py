"""Connections before any key is looked at: how many, how many bytes of headers, and how many seconds each part takes.

uvicorn bounds none of these by itself: its `limit_concurrency` counts when a request's headers are complete, and its
only time-out is for connections that rest between two requests. The bytes of bodies are bounded by the boundary.
"""

import asyncio
import os
from asyncio import TimerHandle
from collections.abc import Mapping
from typing import ClassVar, cast

from fastapi import Response
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.api.edge.admission import IS_UNDER_WAY, Admission
from app.api.edge.bodies import takes_file
from app.api.pages.origins import Headers, cross_origin
from app.api.problems import problem
from app.stores.sql.access.keyring import KeyRing

MAX_HEAD_BYTES = 16_384
"""Of the request line and all headers; proxies and browsers keep to half of it."""
MAX_HEADER_COUNT = 100
HEAD_S = 10.0
BODY_S = 30.0
"""At the largest body these are 33 kB/s, which a bad mobile line carries."""
MAX_UNREAD_BYTES = 10_000_000
"""A caller may send so much of a refused body on: one who reads nothing before all is sent then sees the refusal."""
NO_CONNECTION = "the service has no connection to spare; try again in a second"
DECISIONS = "/v1/decisions"
_DECISIONS = DECISIONS.encode()
OVERLOADED = "more decisions are wanted than can be made in time; try again"


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection, which ends when a request is too large or too late to be read."""

    max_connections: ClassVar[int]
    admission: ClassVar[Admission]
    keys: ClassVar[KeyRing | None]
    head_s: ClassVar[float]
    body_s: ClassVar[float]
    half_open: "ClassVar[dict[BoundedConnection, None]]"
    """Those whose first request has no complete head yet, the oldest first."""

    _unread_bytes = 0
    _message_number = 0
    _is_in_head = False
    _is_in_body = False
    _is_admitted = False
    _is_dropped = False
    """The request was refused without the application."""
    _pending_bytes = 0
    """Received since the last head, or piece of a body, was complete."""
    _piece_number = 0
    """Counts the pieces of files, which are timed each."""
    _timed: tuple[int, bool, int, float | None] | None = None
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
        self._is_dropped = False
        super().on_message_begin()

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
        if size > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADER_COUNT:
            app = self.app
            self.app = _too_large()
            super().on_headers_complete()
            self.app = app
        elif not self.admission.under_way or not self._is_plain_decision():
            super().on_headers_complete()
        elif self.admission.admits(headers := dict(self.headers)):
            # It starts in this call.
            self._is_admitted = True
            super().on_headers_complete()
            self._is_admitted = False
        else:
            self._drop(headers)

    def _is_plain_decision(self) -> bool:
        """True for a decision that starts at once, or is refused by writing the answer and nothing else."""
        return (
            self.url == _DECISIONS
            and self.parser.get_method() == b"POST"
            and self.parser.should_keep_alive()
            and not self.expect_100_continue
            and not self._is_answering()
            and self.parser.get_http_version() == "1.1"
        )

    def _drop(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuses a decision at a twentieth of what one costs; the body that follows is read and forgotten."""
        self._is_dropped = True
        self.admission.on_refused()
        head, body = _OVERLOADED
        more = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *self._readable(headers))]
        self.transport.write(b"%b%bx-request-id: %b\r\n\r\n%b" % (head, b"".join(more), request_id(headers), body))
        self.on_response_complete()

    def _readable(self, headers: Mapping[bytes, bytes]) -> Headers:
        """What lets a page read that its decision is refused."""
        return [] if self.keys is None else cross_origin(headers.get(b"origin"), self.keys.origins)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Called by uvicorn when it is this request's turn; a decision is under way from here on, or refused."""
        if cycle.scope["path"] == DECISIONS and cycle.scope["method"] == "POST":
            headers = {} if self._is_admitted or not self.admission.under_way else dict(cycle.scope["headers"])
            if self._is_admitted or self.admission.admits(headers):
                self.admission.begin()
                # Beyond what ASGI names: typed as a plain dictionary for that.
                cast("dict[str, object]", cycle.scope)[IS_UNDER_WAY] = True
            else:
                self.admission.on_refused()
                answer = problem(503, "overloaded", OVERLOADED, headers={"Retry-After": "1"})
                answer.raw_headers += [(b"x-request-id", request_id(headers)), *self._readable(headers)]
                app = cast(ASGI3Application, answer)
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Called by the parser with a piece of the body, which nobody takes once the request is answered."""
        self._pending_bytes = 0
        # A file may take as long as it keeps coming; where nobody takes it, it is a body as any other.
        if self._is_answering() and takes_file(self.cycle.scope):
            self._piece_number += 1
        if not self._is_dropped:
            super().on_body(body)
        if not self._is_answering():
            self._unread_bytes += len(body)
            if self._unread_bytes > MAX_UNREAD_BYTES:
                self.transport.close()

    def on_message_complete(self) -> None:
        """Called by the parser at the end of the body."""
        self._pending_bytes = 0
        self._is_in_body = False
        if not self._is_dropped:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called where the parser finds no HTTP."""
        self._refuse(problem(400, "malformed_request", "what was sent cannot be read as HTTP/1.1", headers=_closing()))

    def _time(self) -> None:
        """Has the timer run for the part that is awaited; a request that came in one piece needs none."""
        seconds: float | None = self.head_s
        if self._is_in_body:
            seconds = self.body_s
        # Being answered, or answered already.
        elif self._message_number and not self._is_in_head:
            seconds = None
        timed = (self._message_number, self._is_in_body, self._piece_number, seconds)
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
        has_left = self._is_in_body and (self._is_dropped or self.cycle.response_started)
        if not has_left and (self._is_in_body or not self._is_answering()):
            self.transport.write(b"%b\r\n%b" % _packed(answer))
        if self._is_answering():
            # An application that waits for the rest of a body sees its caller go, and says nothing more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def _packed(answer: Response) -> tuple[bytes, bytes]:
    """The lines of its head without the empty one, and its body."""
    lines = [b"%b: %b\r\n" % header for header in answer.raw_headers]
    return b"".join([STATUS_LINE[answer.status_code], *lines]), bytes(answer.body)


_OVERLOADED = _packed(problem(503, "overloaded", OVERLOADED, headers={"Retry-After": "1"}))
"""Made once: a refusal must cost little."""


def request_id(headers: Mapping[bytes, bytes]) -> bytes:
    """The caller's, cut off because it goes into logs and into the answer, or a new one."""
    return headers.get(b"x-request-id", b"")[:64] or os.urandom(16).hex().encode()


def _too_large() -> Response:
    detail = f"request line and headers may have {MAX_HEAD_BYTES:,} bytes and {MAX_HEADER_COUNT} headers at most"
    return problem(431, "headers_too_large", detail, headers=_closing())


def _closing() -> dict[str, str]:
    return {"Connection": "close", "Retry-After": "1", "X-Request-Id": os.urandom(16).hex()}


def connection_type(
    max_connections: int,
    admission: Admission,
    *,
    keys: KeyRing | None = None,
    head_s: float = HEAD_S,
    body_s: float = BODY_S,
) -> type[BoundedConnection]:
    """The class that uvicorn makes its connections of (`http=`), so bounded; `keys` know which pages may read."""
    bounds = {"max_connections": max_connections, "head_s": head_s, "body_s": body_s, "half_open": {}}
    return type("Connection", (BoundedConnection,), {"admission": admission, "keys": keys, **bounds})
