"""`/v1/customers/{customer_id}/replenishment`: what a customer is likely to buy again, and when."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.access import needs
from app.api.decisions.replenishment_wire import ReplenishmentAnswer, ReplenishmentRequest, due_body, to_due_query
from app.api.problems import documented
from app.api.state import service_of
from app.decision.replenishment.answer import NO_BUNDLE, replenishment
from app.domain import Scope
from app.ingest.schema import Id

router = APIRouter(tags=["decisions"])


@router.get(
    "/v1/customers/{customer_id}/replenishment",
    response_model=ReplenishmentAnswer,
    responses=documented(422),
    **needs(Scope.DECIDE),
)
async def get_replenishment(
    customer_id: Id, asked: Annotated[ReplenishmentRequest, Query()], request: Request
) -> Response:
    """What was bought repeatedly and is likely due. Always answers; `degraded` tells what was missing."""
    service = service_of(request)
    query = to_due_query(customer_id, asked)
    bundle = service.fallback_chain.bundle(customer_id, None)
    if bundle is None:
        return Response(due_body(query, NO_BUNDLE, model_version=None), media_type="application/json")
    state = await service.fallback_chain.customers.read(customer_id, None)
    answer = replenishment(query, bundle, state, stale_after_s=service.fallback_chain.options.stale_after_s)
    return Response(due_body(query, answer, model_version=bundle.version), media_type="application/json")
