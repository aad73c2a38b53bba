"""The middleware around the routes: access, request ids, size limit, latency; plain ASGI, so that it costs little."""

import logging
from collections.abc import Mapping
from functools import cache
from time import perf_counter

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.access import Access, person_of
from app.api.edge.admission import IS_UNDER_WAY, Admission
from app.api.edge.bodies import replayed, takes_file
from app.api.edge.connections import request_id
from app.api.pages.origins import Headers, cross_origin, preflight
from app.api.pages.questions import own_question
from app.api.problems import endpoint_of, problem, unexpected
from app.api.reference import OPEN_PATHS as REFERENCE_PATHS
from app.telemetry import Metrics

MAX_BODY_BYTES = 1_000_000
REFUSED = frozenset({401, 403, 429, 503})
"""What the metric of refusals counts, by the problem's code."""
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"}) | REFERENCE_PATHS
"""What needs no key."""
JSON = (b"content-type", b"application/json")
BEACON = b"text/plain"
"""What browsers send a beacon (`navigator.sendBeacon`) of text as; they let no page set another type for it."""
EVENTS = "/v1/events"
TAKE_BEACONS = frozenset({EVENTS})
SEND_JSON = "the body must be JSON and say so: send the header `Content-Type: application/json`"

_log = logging.getLogger("endcap.request")


class BoundaryMiddleware:
    """Wraps the application; nothing passes that `access` refuses."""

    def __init__(self, app: ASGIApp, metrics: Metrics, access: Access, admission: Admission) -> None:
        self._app = app
        self._admission = admission
        # labels() takes a lock and looks the series up again on every call.
        self._seconds_of = cache(metrics.request_seconds.labels)
        self._access = access
        self._refused = metrics.refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request through the middleware."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        if scope["method"] == "HEAD":
            # Every route takes it for a GET; the server, which has the scope of before, leaves the body out.
            scope = {**scope, "method": "GET"}
        headers = dict(scope["headers"])
        marked = request_id(headers)
        # Almost no request has an Origin; whoever else has one reads nothing.
        readable = self._readable(scope, headers) if b"origin" in headers else []
        status = 500  # What it stays if the application raises before it answers.
        is_started = False

        async def send_marked(message: Message) -> None:
            nonlocal status, is_started
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", marked), *readable]
                is_started = True
            await send(message)

        try:
            is_preflight = readable and scope["method"] == "OPTIONS"
            refusal = self._preflight(scope) if is_preflight else await self._refusal(scope, headers)
            if refusal is not None:
                await refusal(scope, receive, send_marked)
            else:
                await self._serve(scope, headers, receive, send_marked)
        except Exception as error:  # the border of a request
            if is_started:
                raise
            # Answered here: raised on, it would have the server close the connection, with the next request on it.
            await unexpected(scope, error)(scope, receive, send_marked)
        finally:
            if IS_UNDER_WAY in scope:
                self._admission.end()
            self._observe(scope, status, perf_counter() - started, marked)

    def _readable(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Headers:
        """What lets the page that sends this read the answer, where pages have any business with the route."""
        is_for_pages = self._access.routes.method_for_persons(scope["path"]) is not None
        return cross_origin(headers.get(b"origin"), self._access.keys.origins) if is_for_pages else []

    def _preflight(self, scope: Scope) -> Response:
        return preflight(self._access.routes.method_for_persons(scope["path"]) or "")

    async def _serve(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, send: Send) -> None:
        person = person_of(scope)
        if (not _may_have_body(headers) and person is None) or takes_file(scope):
            await self._app(scope, receive, send)
            return
        messages = await _whole_body(receive)
        if messages is None:
            await _too_large(f"more than {MAX_BODY_BYTES:,}")(scope, receive, send)
            return
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if media_type == BEACON and scope["path"] in TAKE_BEACONS:
            scope = {**scope, "headers": [*((n, v) for n, v in scope["headers"] if n != b"content-type"), JSON]}
        elif media_type != b"application/json" and scope["method"] != "GET" and any(map(_has_content, messages)):
            await problem(415, "unsupported_media_type", SEND_JSON)(scope, receive, send)
            return
        # The rows of events are checked one by one (app/api/events/routes.py).
        if person is not None and scope["path"] != EVENTS:
            question = own_question(b"".join([message.get("body", b"") for message in messages]), person)
            if isinstance(question, Response):
                self._count(question)
                await question(scope, receive, send)
                return
            messages = [{"type": "http.request", "body": question}]
        await self._app(scope, replayed(messages, receive), send)

    async def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Response | None:
        refusal = None if scope["path"] in OPEN_PATHS else await self._access.refusal(scope, headers)
        if refusal is None:
            length = headers.get(b"content-length", b"0")
            is_over = length.isdigit() and int(length) > MAX_BODY_BYTES and not takes_file(scope)
            return _too_large(f"{int(length):,}") if is_over else None
        self._count(refusal)
        return refusal

    def _count(self, refusal: Response) -> None:
        if refusal.status_code in REFUSED:
            self._refused.add(orjson.loads(refusal.body)["code"])

    def _observe(self, scope: Scope, status: int, seconds: float, request_id: bytes) -> None:
        # The route and not the path: ids in paths would make a series of metrics each.
        endpoint = endpoint_of(scope)
        self._seconds_of(endpoint, status).observe(seconds)
        # 503 says that something else is away or too much is wanted: counted, and the log not filled with each of them.
        is_fault = status >= 500 and status != 503
        if is_fault or _log.isEnabledFor(logging.DEBUG):
            level = logging.ERROR if is_fault else logging.DEBUG
            extra = {
                "request_id": request_id.decode("ascii", "replace"),
                "endpoint": endpoint,
                "status": status,
                "ms": round(seconds * 1000, 2),
            }
            _log.log(level, "request", extra=extra)


def _too_large(said: str) -> Response:
    return problem(413, "request_too_large", f"the body has {said} bytes; at most {MAX_BODY_BYTES:,} are taken")


def _has_content(message: Message) -> bool:
    return bool(message.get("body"))


def _may_have_body(headers: Mapping[bytes, bytes]) -> bool:
    return b"content-length" in headers or b"transfer-encoding" in headers


async def _whole_body(receive: Receive) -> list[Message] | None:
    """The messages of a body; None, and the rest unread, where it is too large: its size may not have been declared."""
    messages = [await receive()]
    size = len(messages[0].get("body", b""))
    while messages[-1].get("more_body") and size <= MAX_BODY_BYTES:
        messages.append(await receive())
        size += len(messages[-1].get("body", b""))
    return None if size > MAX_BODY_BYTES else messages
