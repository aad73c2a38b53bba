"""`/v1/events`: what happened on any channel comes in here, a batch at a time."""

from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

import orjson
from fastapi import APIRouter, Request, Response

from app.api.access import client_of, needs_or_person, person_of
from app.api.events.wire import EventBatch, EventResults
from app.api.pages.events import own_row, page_client
from app.api.problems import documented
from app.api.state import service_of
from app.domain import Scope
from app.ingest.accept import Stores, accept_rows

router = APIRouter(tags=["events"])


@router.post(
    "/v1/events",
    status_code=202,
    response_model=EventResults,
    responses=documented(400, 413, 422),
    **needs_or_person(Scope.INGEST),
)
async def record_events(body: EventBatch, request: Request) -> Response:
    """Takes at most 200 events; `accepted` means safe, and part of the next decision.

    A row rejected with `store_unavailable` was not known to be safe: send it again with the same id.
    """
    service, client, person = service_of(request), client_of(request), person_of(request.scope)
    results = await accept_rows(
        body.events,
        Stores(service.events, service.place_reports, service.customers),
        client=client if person is None else page_client(client, person),
        now=datetime.now(UTC),
        checked=None if person is None else partial(own_row, person=person),
    )
    for result in results:
        service.metrics.events.labels(result.status).inc()
    rows = [{_NAMES.get(name, name): value for name, value in asdict(result).items()} for result in results]
    return Response(orjson.dumps({"results": rows}), 202, media_type="application/json")


_NAMES = {"event_id": "id"}
