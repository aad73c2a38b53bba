"""The edge around the routes: authorization, request ids, size limit, latency; plain ASGI, so that it costs little."""

import hmac
import logging
import os
from functools import cache
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem
from app.telemetry import Metrics

MAX_BODY_BYTES = 1_000_000
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})

_log = logging.getLogger("endcap.request")


class Edge:
    """Wraps the application; `api_key` None means that the service listens on loopback only."""

    def __init__(self, app: ASGIApp, metrics: Metrics, api_key: str | None) -> None:
        self._app = app
        self._seconds_of = cache(metrics.request_seconds.labels)
        self._api_key = api_key.encode() if api_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request through the edge."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")[:64] or os.urandom(16).hex().encode()
        status = 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        refusal = self._refusal(scope["path"], headers)
        try:
            if refusal is not None:
                await refusal(scope, receive, send_marked)
            else:
                await self._app(scope, receive, send_marked)
        finally:
            self._observe(scope, status, perf_counter() - started, request_id)

    def _refusal(self, path: str, headers: dict[bytes, bytes]) -> ASGIApp | None:
        if self._api_key is not None and path not in OPEN_PATHS and not self._is_authorized(headers):
            return problem(401, "unauthorized", "send the API key as `Authorization: Bearer <key>`")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            return problem(413, "request_too_large", f"the body has {int(length)} bytes; at most {MAX_BODY_BYTES}")
        return None

    def _is_authorized(self, headers: dict[bytes, bytes]) -> bool:
        assert self._api_key is not None
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ") or headers.get(b"x-api-key", b"")
        return hmac.compare_digest(given, self._api_key)

    def _observe(self, scope: Scope, status: int, seconds: float, request_id: bytes) -> None:
        route = scope.get("route")
        endpoint = getattr(route, "path", "unknown")
        self._seconds_of(endpoint, status).observe(seconds)
        if _log.isEnabledFor(logging.DEBUG) or status >= 500:
            level = logging.ERROR if status >= 500 else logging.DEBUG
            extra = {
                "request_id": request_id.decode("ascii", "replace"),
                "endpoint": endpoint,
                "status": status,
                "ms": round(seconds * 1000, 2),
            }
            _log.log(level, "request", extra=extra)
