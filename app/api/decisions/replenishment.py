"""`/v1/customers/{customer_id}/replenishment`: what a customer is likely to buy again, and when."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.access import needs
from app.api.decisions.replenishment_wire import (
    ReplenishmentAnswer,
    ReplenishmentRequest,
    replenishment_body,
    to_replenishment_query,
)
from app.api.problems import documented
from app.api.state import service_of
from app.bounds import Id
from app.customers.identities import named_ids
from app.decision.replenishment.answer import NO_BUNDLE, replenishment
from app.domain import Scope

router = APIRouter(tags=["decisions"])


@router.get(
    "/v1/customers/{customer_id}/replenishment",
    response_model=ReplenishmentAnswer,
    responses=documented(422),
    **needs(Scope.DECIDE),
)
async def get_replenishment(
    customer_id: Id, parameters: Annotated[ReplenishmentRequest, Query()], request: Request
) -> Response:
    """What the customer is likely to buy again, most likely first; `degraded` says what was missing."""
    service = service_of(request)
    query = to_replenishment_query(customer_id, parameters)
    ids = named_ids(customer_id, None)
    bundle = service.fallback_chain.bundle(*ids)
    if bundle is None:
        return Response(replenishment_body(query, NO_BUNDLE, model_version=None), media_type="application/json")
    state = await service.fallback_chain.customers.read(*ids)
    answer = replenishment(query, bundle, state, stale_after_s=service.fallback_chain.options.stale_after_s)
    return Response(replenishment_body(query, answer, model_version=bundle.version), media_type="application/json")
