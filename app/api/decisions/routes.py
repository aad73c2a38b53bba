"""`/v1/decisions`: one question in, one slate out, and the slate again for a while."""

from dataclasses import replace

from fastapi import APIRouter, Request, Response

from app.api.access import needs, needs_or_person, person_of
from app.api.decisions.wire import DecisionAnswer, DecisionRequest, answer_body, to_query
from app.api.pages.tokens import Person
from app.api.problems import documented
from app.api.state import Service, service_of
from app.bounds import Id
from app.domain import Scope
from app.errors import DecisionNotFound, StoreUnavailable
from app.slates import Slate
from app.telemetry import Metrics, stage_timer

router = APIRouter(tags=["decisions"])


@router.post(
    "/v1/decisions",
    response_model=DecisionAnswer,
    responses=documented(400, 413, 422),
    **needs_or_person(Scope.DECIDE),
)
async def decide(body: DecisionRequest, request: Request) -> Response:
    """What should this person see now, here? Always answers; `degraded` says what was missing."""
    service = service_of(request)
    slate, answer = await answer_to(body, service, person_of(request.scope))
    count(service.metrics, slate)
    return Response(answer, media_type="application/json")


async def answer_to(question: DecisionRequest, service: Service, person: Person | None) -> tuple[Slate, bytes]:
    """The slate and the answer's body, which `get_decision` returns from now on; not yet counted.

    `person`: who wants it from a page or an app, and does not learn what showing a product is worth to the store.
    """
    query = to_query(question, service.placements)
    timer = stage_timer(service.metrics)
    slate = await service.fallback_chain.answer(query, timer)
    if person is not None:
        slate = _without_worth(slate)
    answer = answer_body(
        slate,
        currency=service.settings.currency,
        with_trace=query.explain,
        keep_s=service.settings.decision_keep_s,
    )
    # Where the answer does not show it, the trace is packed only when it is written, behind the answer.
    service.decisions.record(slate.decision_id, answer, None if query.explain else slate.trace)
    timer.end("encode")
    return slate, answer


def _without_worth(slate: Slate) -> Slate:
    # Divided by the probability next to it, it would be the margin where that is the objective.
    return replace(slate, propositions=[one._replace(expected_minor=None) for one in slate.propositions])


@router.get(
    "/v1/decisions/{decision_id}", response_model=DecisionAnswer, responses=documented(404, 422), **needs(Scope.DECIDE)
)
async def get_decision(decision_id: Id, request: Request) -> Response:
    """The decision as it was answered, with its trace; kept for ENDCAP_DECISION_KEEP_S seconds."""
    try:
        answer = await service_of(request).decisions.find(decision_id)
    except StoreUnavailable:
        raise DecisionNotFound(f"decision {decision_id!r} cannot be looked up now; try again") from None
    return Response(answer, media_type="application/json")


def count(metrics: Metrics, slate: Slate) -> None:
    """One decision in the metrics: candidates per source, drops per reason, degradations, fallback level."""
    for source, candidate_count in slate.trace.candidates.items():
        metrics.candidates.add(source, candidate_count)
    for reason, drops in slate.trace.dropped.items():
        metrics.drops.add(reason, drops.count)
    for why in slate.degraded:
        metrics.degraded.add(why)
    metrics.decisions.add(slate.trace.fallback_level or "full")
