"""Writes that happen once: the caller's Idempotency-Key, the answer kept under it, and what follows a new answer."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from fastapi import Request, Response
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from app.api.access import client_of, needs
from app.api.state import Service
from app.domain import Scope
from app.errors import BadInput, Conflict, IdempotencyKeyMissing
from app.stores.sql.redemption.idempotency import Answer, Once

HEADER = "Idempotency-Key"
MAX_KEY_LENGTH = 255
KEY_PATTERN = f"^[!-~]{{1,{MAX_KEY_LENGTH}}}$"
_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "description": "Names this write: sent again with the same key within 24 hours it is answered as before",
    "schema": {"type": "string", "pattern": KEY_PATTERN, "minLength": 1, "maxLength": MAX_KEY_LENGTH},
}


class InvalidIdempotencyKey(BadInput):
    """The key is too long, or has signs that cannot be seen."""

    code = "idempotency_key_invalid"


class RequestInFlight(Conflict):
    """The same key is being worked on in this process just now."""

    code = "request_in_flight"


def keyed(scope: Scope, *, is_required: bool = True) -> dict[str, Any]:
    """What a write's decorator says: the scope that it needs, and that it needs an Idempotency-Key.

    Not `is_required` where a request may ask for no write at all.
    """
    told = needs(scope)
    return {"openapi_extra": told["openapi_extra"] | {"parameters": [_PARAMETER | {"required": is_required}]}}


async def once_of(request: Request) -> Once:
    """The request as it must have its effect once; raises IdempotencyKeyMissing and InvalidIdempotencyKey."""
    key = request.headers.get(HEADER)
    if not key:
        raise IdempotencyKeyMissing(f"send a header {HEADER} that is new for each write, as a random UUID")
    if not re.fullmatch(KEY_PATTERN, key):
        raise InvalidIdempotencyKey(f"{HEADER} must be 1 to {MAX_KEY_LENGTH} visible ASCII characters")
    asked = f"{request.method} {request.url.path}\n".encode() + _canonical(await request.body())
    return Once(client_of(request), key, sha256(asked).hexdigest(), datetime.now(UTC))


def _canonical(body: bytes) -> bytes:
    """The same bytes for the same JSON, however it is spaced and ordered."""
    try:
        return json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return body


async def answered(service: Service, once: Once, work: Callable[[], Answer]) -> Response:
    """The response to one write, whose `work` runs in a thread; raises RequestInFlight, and what `work` raises."""
    return response_of(service, await done(service, once, work))


async def done(service: Service, once: Once, work: Callable[[], Answer]) -> Answer:
    """The same as an Answer."""
    with _in_flight(service, once):
        return await run_in_threadpool(work)


def response_of(service: Service, answer: Answer) -> Response:
    """The answer over HTTP; `Idempotent-Replayed` tells that it was given before."""
    media_type = "application/json" if answer.status < 400 else "application/problem+json"
    headers = {"Idempotent-Replayed": "true"} if answer.is_replay else None
    return Response(answer.body, answer.status, headers, media_type, background=after(service, answer))


def after(service: Service, answer: Answer) -> BackgroundTask | None:
    """What follows the response: the projections that the write made stale are made anew, else by the sweep."""
    return BackgroundTask(service.projections.refresh, answer.touched) if answer.touched else None


@contextmanager
def _in_flight(service: Service, once: Once) -> Iterator[None]:
    mine = (once.client, once.key)
    if mine in service.in_flight:
        raise RequestInFlight(f"a request with {HEADER} {once.key!r} is being worked on; wait for its answer")
    service.in_flight.add(mine)
    try:
        yield
    finally:
        service.in_flight.discard(mine)
