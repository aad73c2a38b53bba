"""`/v1/audit`: who of the staff looked at which customer, when and why."""

from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from app.api.access import needs
from app.api.documents import json_answer
from app.api.problems import documented
from app.api.state import service_of
from app.bounds import Id, Instant
from app.customers.identities import identity_behind
from app.domain import Scope
from app.stores.sql.customers.audit import looks
from app.stores.sql.customers.groups import keys_of_customer

router = APIRouter(tags=["customers"])


class LookAnswer(BaseModel):
    """One look at a customer."""

    entry_id: int = Field(description="Its number: `after` of the next page")
    at: datetime = Field(description="When")
    client: str = Field(description="The client whose key was used")
    staff_id: str = Field(description="Who looked")
    action: str = Field(description="What it was: `clienteling`")
    type: str = Field(description="What kind of name the customer was looked up by")
    value: str = Field(description="The name; a pseudonym once they were erased")
    reason: str = Field(description="Why")


class AuditAnswer(BaseModel):
    """Entries in their order, 500 at most."""

    entries: list[LookAnswer] = Field(description="Oldest first")


@router.get("/v1/audit", response_model=AuditAnswer, responses=documented(422), **needs(Scope.ADMIN))
def get_audit(
    request: Request,
    customer_id: Annotated[Id | None, Query(description="Only looks at this customer, under every name")] = None,
    after: Annotated[int, Query(ge=0, description="Only entries behind this number")] = 0,
    starts_at: Annotated[Instant | None, Query(alias="from")] = None,
    ends_at: Annotated[Instant | None, Query(alias="to")] = None,
) -> Response:
    """Who of the staff looked at whom, when and why."""
    ledger = service_of(request).ledger
    keys = None
    if customer_id is not None:
        keys = ledger.read(partial(keys_of_customer, customer_id=customer_id))
    found = ledger.read(partial(looks, keys=keys, after=after, starts_at=starts_at, ends_at=ends_at))
    return json_answer({"entries": [row | asdict(identity_behind(str(row.pop("key")))) for row in found]})
