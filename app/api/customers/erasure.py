"""Access and erasure: everything that is stored of one person in one document, and forgotten on request."""

import asyncio
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from app.api.access import needs
from app.api.documents import json_answer
from app.api.fields import CUSTOMER_ID
from app.api.problems import documented
from app.api.state import service_of
from app.bounds import Id
from app.customers.identities import named_customer
from app.customers.tombstones import tombstone_of
from app.domain import JsonObject, Scope
from app.erasure.places import STEPS
from app.stores.sql.customers.erasures import Erasure, find_erasure, request_erasure
from app.stores.sql.customers.groups import keys_of_customer

router = APIRouter(tags=["customers"])


class ErasureStep(BaseModel):
    """One step that is done."""

    at: datetime = Field(description="When it was done")
    erased: dict[str, int] = Field(description="How much was erased, by place")


class ErasureAnswer(BaseModel):
    """How far an erasure is; it goes on by itself, also after a restart (docs/privacy.md#erasure)."""

    erasure_id: str = Field(description="What names it; it names nobody")
    status: str = Field(description="`running`, or `done` once nothing is left to erase")
    requested_at: datetime = Field(description="When it was requested: since then nothing is taken or answered of them")
    steps_done: int = Field(description="How many steps are done")
    steps_total: int = Field(description="How many there are")
    steps: dict[str, ErasureStep] = Field(description="What each step that is done erased")
    receipt: dict[str, Any] | None = Field(
        description="Signed, once it is done: `endcap verify-erasure` checks it. Null while it runs"
    )


class ExportAnswer(BaseModel):
    """Everything that is stored of one person, under all their names (docs/privacy.md#access)."""

    customer_id: str = Field(description=CUSTOMER_ID)
    identities: list[str] = Field(description="The keys of every name: `c:` and a customer's, `a:` and a visitor's")
    ledger: dict[str, list[dict[str, Any]]] = Field(description="Coupons, redemptions, consents and all else in SQL")
    redis: dict[str, Any] = Field(description="Live events, wallet, features, and what waits for the history")
    files: dict[str, list[dict[str, Any]]] = Field(
        description="Every purchase and event, snapshots of features, rejected rows and all else in files, by place"
    )


@router.delete(
    "/v1/customers/{customer_id}",
    status_code=202,
    response_model=ErasureAnswer,
    responses=documented(422),
    **needs(Scope.CUSTOMERS),
)
async def erase_customer(customer_id: Id, request: Request) -> Response:
    """Forgets the person under every name. From the answer on nothing of them is taken or used; the rest follows
    within a minute. Safe to repeat."""
    service, key = service_of(request), named_customer(customer_id).key
    of = partial(tombstone_of, service.personal_data.secret)
    work = partial(request_erasure, key=key, tombstone_of=of, now=service.ledger.now())
    erasure = await service.customers.commit(work, takes_away=True)
    await asyncio.to_thread(service.projections.documents.mark_erased, erasure.tombstones)
    return Response(orjson.dumps(_document(erasure)), 202, media_type="application/json")


@router.get(
    "/v1/erasures/{erasure_id}",
    response_model=ErasureAnswer,
    responses=documented(404, 422),
    **needs(Scope.CUSTOMERS),
)
def get_erasure(erasure_id: Id, request: Request) -> Response:
    """How far the erasure is, and its receipt once it is done."""
    find = partial(find_erasure, erasure_id=erasure_id)
    return json_answer(_document(service_of(request).ledger.read(find)))


@router.get(
    "/v1/customers/{customer_id}/export", response_model=ExportAnswer, responses=documented(422),
    **needs(Scope.CUSTOMERS),
)  # fmt: skip
def export_customer(customer_id: Id, request: Request) -> Response:
    """Everything that is stored of the person, in one document: just what an erasure would take."""
    # A server that exports nothing needs none of what this loads.
    from app.erasure.run import found_of

    service = service_of(request)
    names = service.ledger.read(partial(keys_of_customer, customer_id=customer_id))
    found = found_of(service.personal_data, names)
    document = {"customer_id": customer_id, "identities": names, **found}
    headers = {"Content-Disposition": 'attachment; filename="export.json"'}
    return Response(orjson.dumps(document, default=str), headers=headers, media_type="application/json")


def _document(erasure: Erasure) -> JsonObject:
    return {
        "erasure_id": erasure.erasure_id,
        "status": "done" if erasure.receipt is not None else "running",
        "requested_at": erasure.requested_at,
        "steps_done": len(erasure.steps),
        "steps_total": len(STEPS),
        "steps": erasure.steps,
        "receipt": erasure.receipt,
    }
