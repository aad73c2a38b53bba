"""Writes that are safe to retry: the caller's Idempotency-Key, the response stored with it, and what follows it."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256

from fastapi import Request, Response
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from app.api.access import RouteOptions, client_of, needs
from app.api.state import Service, service_of
from app.customers.identities import named_customer
from app.customers.tombstones import tombstone_of
from app.domain import Scope
from app.errors import BadInput, Conflict, IdempotencyKeyMissing
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse

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
    """The key is too long, or has characters that are not visible ASCII."""

    code = "idempotency_key_invalid"


class RequestInFlight(Conflict):
    """A request with the same key is being worked on in this process."""

    code = "request_in_flight"


def idempotent(scope: Scope, *, is_required: bool = True) -> RouteOptions:
    """A write's route options: the scope that it needs, and that it takes an Idempotency-Key.

    Not `is_required` where a request may write nothing.
    """
    options = needs(scope)
    return {"openapi_extra": options["openapi_extra"] | {"parameters": [_PARAMETER | {"required": is_required}]}}


async def idempotent_request(request: Request, *, customers: Collection[str | None] = ()) -> IdempotentRequest:
    """The write that this request stands for, as of now by the ledger's clock; `customers` are those whom it names.

    Raises IdempotencyKeyMissing, InvalidIdempotencyKey and StoreUnavailable.
    """
    key = request.headers.get(HEADER)
    if not key:
        raise IdempotencyKeyMissing(f"send a header {HEADER} that is new for each write, as a random UUID")
    if not re.fullmatch(KEY_PATTERN, key):
        raise InvalidIdempotencyKey(f"{HEADER} must be 1 to {MAX_KEY_LENGTH} visible ASCII characters")
    # The path counts as well: the same body sent somewhere else is another request.
    content = f"{request.method} {request.url.path}\n".encode() + _canonical(await request.body())
    service = service_of(request)
    # Those of 10,000 customers take 17 ms, which the event loop does not have: they are computed in the write's thread.
    tombstones = partial(_tombstones_of, service.personal_data.secret, customers)
    return IdempotentRequest(client_of(request), key, sha256(content).hexdigest(), service.ledger.now(), tombstones)


def _tombstones_of(secret: bytes, customers: Collection[str | None]) -> list[str]:
    return [tombstone_of(secret, named_customer(one).key) for one in customers if one is not None]


def _canonical(body: bytes) -> bytes:
    """The same bytes for the same JSON, however it is spaced and ordered."""
    try:
        return json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()
    # Python's parser raises RecursionError for what is nested too deeply; such a body is compared byte by byte.
    except (ValueError, RecursionError):
        return body


async def respond(service: Service, write: IdempotentRequest, work: Callable[[], StoredResponse]) -> Response:
    """The response to one write, whose `work` runs in a thread; raises RequestInFlight, and what `work` raises."""
    return http_response(service, await stored_response(service, write, work))


async def stored_response(
    service: Service, write: IdempotentRequest, work: Callable[[], StoredResponse]
) -> StoredResponse:
    """The same as it is stored."""
    with _in_flight(service, write):
        return await run_in_threadpool(work)


def http_response(service: Service, stored: StoredResponse) -> Response:
    """A stored response over HTTP; `Idempotent-Replayed` marks one that was sent before."""
    media_type = "application/json" if stored.status < 400 else "application/problem+json"
    headers = {"Idempotent-Replayed": "true"} if stored.is_replay else None
    return Response(stored.body, stored.status, headers, media_type, background=_refresh(service, stored))


def _refresh(service: Service, stored: StoredResponse) -> BackgroundTask | None:
    """Rebuilds the projections that the write made stale, after the response; the sweep does what fails here."""
    return BackgroundTask(service.projections.refresh, stored.stale_subjects) if stored.stale_subjects else None


@contextmanager
def _in_flight(service: Service, write: IdempotentRequest) -> Iterator[None]:
    mine = (write.client, write.key)
    # No await between look and entry, so nothing can come between in one event loop. Requests to two processes meet in
    # the ledger, where the second waits for the first.
    if mine in service.in_flight:
        raise RequestInFlight(f"a request with {HEADER} {write.key!r} is being worked on; wait for its answer")
    service.in_flight.add(mine)
    try:
        yield
    finally:
        service.in_flight.discard(mine)
