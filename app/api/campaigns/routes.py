"""`/v1/campaigns` and `/v1/offers`: what the retailer promises, with whose money, and where that money went."""

from datetime import datetime
from functools import partial
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from app.api.access import needs
from app.api.campaigns.wire import (
    AudienceAnswer,
    AudienceRequest,
    BudgetAnswer,
    CampaignAnswer,
    CampaignChange,
    CampaignList,
    CampaignRequest,
    OfferAnswer,
    OfferChange,
    OfferList,
    OfferRequest,
    SettlementAnswer,
    campaign_body,
    campaign_document,
    offer_body,
    offer_document,
)
from app.api.documents import json_answer
from app.api.idempotency import idempotent, idempotent_request, respond
from app.api.problems import documented
from app.api.state import service_of
from app.bounds import Id, Instant
from app.domain import Scope
from app.errors import InvalidRequest
from app.offers.terms.records import Campaign, Offer
from app.offers.terms.status import Action
from app.stores.sql.accounts.reports import campaign_budget, settlement
from app.stores.sql.campaigns.campaigns import (
    act_on_campaign,
    change_campaign,
    change_offer,
    create_campaign,
    create_offer,
    find_campaign,
    find_offer,
    list_campaigns,
    list_offers,
    withdraw_offer,
)
from app.stores.sql.coupons.audience_issuing import add_audience, add_segment
from app.stores.sql.redemption.idempotency import StoredResponse, run_idempotent

router = APIRouter(tags=["campaigns"])
actions = APIRouter(tags=["campaigns"])
"""For one route whose last part is a name: registered after all others, which it would hide.

Writes are `async` for what the event loop keeps, and leave their SQL to a thread; reads run in one altogether."""


@router.post(
    "/v1/campaigns",
    status_code=201,
    response_model=CampaignAnswer,
    responses=documented(400, 409, 413, 422),
    **idempotent(Scope.ADMIN),
)
async def add_campaign(body: CampaignRequest, request: Request) -> Response:
    """A new campaign, which is a draft until it is scheduled."""
    service, write, terms = service_of(request), await idempotent_request(request), body.parsed()
    make = partial(create_campaign, campaign_id=body.campaign_id, terms=terms, now=write.now)
    work = partial(
        run_idempotent,
        service.ledger,
        write,
        lambda connection: _campaign_response(make(connection), 201, now=write.now),
    )
    return await respond(service, write, work)


@router.get("/v1/campaigns", response_model=CampaignList, responses=documented(404, 422), **needs(Scope.ADMIN))
def get_campaigns(
    request: Request, after: Id | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Response:
    """Campaigns, the newest first; `after` is the `next` of the page before."""
    ledger = service_of(request).ledger
    # One more than shown, to know whether another page follows.
    found, now = ledger.read(partial(list_campaigns, after=after, limit=limit + 1)), ledger.now()
    page = found[:limit]
    document = {
        "campaigns": [campaign_document(one, now=now) for one in page],
        "next": page[-1].campaign_id if len(found) > limit else None,
    }
    return json_answer(document)


@router.get(
    "/v1/campaigns/{campaign_id}",
    response_model=CampaignAnswer,
    responses=documented(404, 422),
    **needs(Scope.ADMIN),
)
def get_campaign(campaign_id: Id, request: Request) -> Response:
    """One campaign."""
    ledger = service_of(request).ledger
    campaign = ledger.read(lambda connection: find_campaign(connection, campaign_id))
    return Response(campaign_body(campaign, now=ledger.now()), media_type="application/json")


@router.put(
    "/v1/campaigns/{campaign_id}",
    response_model=CampaignAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.ADMIN),
)
async def replace_campaign(campaign_id: Id, body: CampaignChange, request: Request) -> Response:
    """The campaign with other terms; a budget below what is spent or held is refused, as is an outdated revision."""
    service, write, terms = service_of(request), await idempotent_request(request), body.parsed()
    make = partial(change_campaign, campaign_id=campaign_id, terms=terms, revision=body.revision, now=write.now)
    work = partial(
        run_idempotent, service.ledger, write, lambda connection: _campaign_response(make(connection), now=write.now)
    )
    return await respond(service, write, work)


@router.get(
    "/v1/campaigns/{campaign_id}/budget",
    response_model=BudgetAnswer,
    responses=documented(404, 422),
    **needs(Scope.ADMIN),
)
def get_campaign_budget(campaign_id: Id, request: Request) -> Response:
    """The campaign's budget, what is spent, held and left of it, per channel, and its last ledger entries."""
    found = service_of(request).ledger.read(lambda connection: campaign_budget(connection, campaign_id))
    return json_answer(found.to_dict())


@router.post(
    "/v1/campaigns/{campaign_id}/offers",
    status_code=201,
    response_model=OfferAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.ADMIN),
)
async def add_offer(campaign_id: Id, body: OfferRequest, request: Request) -> Response:
    """A new offer of the campaign."""
    service, write, terms = service_of(request), await idempotent_request(request), body.parsed()
    make = partial(create_offer, campaign_id=campaign_id, offer_id=body.offer_id, terms=terms, now=write.now)
    work = partial(run_idempotent, service.ledger, write, lambda connection: _offer_response(make(connection), 201))
    return await respond(service, write, work)


@router.get(
    "/v1/campaigns/{campaign_id}/offers",
    response_model=OfferList,
    responses=documented(404, 422),
    **needs(Scope.ADMIN),
)
def get_campaign_offers(campaign_id: Id, request: Request) -> Response:
    """All offers of the campaign."""
    ledger = service_of(request).ledger
    found = ledger.read(lambda connection: list_offers(connection, find_campaign(connection, campaign_id).campaign_id))
    return json_answer({"offers": [offer_document(offer) for offer in found]})


@router.post(
    "/v1/campaigns/{campaign_id}/audience",
    response_model=AudienceAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.ADMIN),
)
async def add_to_audience(campaign_id: Id, body: AudienceRequest, request: Request) -> Response:
    """Adds customers to those whom the campaign is for; they get coupons when these are issued to the audience."""
    service = service_of(request)
    write = await idempotent_request(request, customers=body.customer_ids or ())
    if body.tier is None:
        add = partial(add_audience, campaign_id=campaign_id, customer_ids=body.customer_ids or (), now=write.now)
    else:
        add = partial(add_segment, campaign_id=campaign_id, tier=body.tier, now=write.now)
    work = partial(
        run_idempotent, service.ledger, write, lambda connection: _audience_response(campaign_id, add(connection))
    )
    return await respond(service, write, work)


@actions.post(
    "/v1/campaigns/{campaign_id}/{action}",
    response_model=CampaignAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.ADMIN),
)
async def change_campaign_status(campaign_id: Id, action: Annotated[Action, Path()], request: Request) -> Response:
    """Schedules a draft, pauses, resumes, ends, or reopens what has ended, which is paused then."""
    service, write = service_of(request), await idempotent_request(request)
    make = partial(act_on_campaign, campaign_id=campaign_id, action=action, now=write.now)
    work = partial(
        run_idempotent, service.ledger, write, lambda connection: _campaign_response(make(connection), now=write.now)
    )
    return await respond(service, write, work)


@router.get("/v1/offers/{offer_id}", response_model=OfferAnswer, responses=documented(404, 422), **needs(Scope.ADMIN))
def get_offer(offer_id: Id, request: Request) -> Response:
    """One offer."""
    offer = service_of(request).ledger.read(lambda connection: find_offer(connection, offer_id))
    return Response(offer_body(offer), media_type="application/json")


@router.put(
    "/v1/offers/{offer_id}",
    response_model=OfferAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.ADMIN),
)
async def replace_offer(offer_id: Id, body: OfferChange, request: Request) -> Response:
    """The offer in a new revision."""
    service, write, terms = service_of(request), await idempotent_request(request), body.parsed()
    make = partial(change_offer, offer_id=offer_id, terms=terms, revision=body.revision, now=write.now)
    work = partial(run_idempotent, service.ledger, write, lambda connection: _offer_response(make(connection)))
    return await respond(service, write, work)


@router.delete(
    "/v1/offers/{offer_id}",
    response_model=OfferAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.ADMIN),
)
async def delete_offer(offer_id: Id, request: Request) -> Response:
    """The offer, no longer issued or shown; coupons that are out stay good."""
    service, write = service_of(request), await idempotent_request(request)
    make = partial(withdraw_offer, offer_id=offer_id, now=write.now)
    work = partial(run_idempotent, service.ledger, write, lambda connection: _offer_response(make(connection)))
    return await respond(service, write, work)


@router.get("/v1/settlements", response_model=SettlementAnswer, responses=documented(422), **needs(Scope.ADMIN))
def get_settlement(
    request: Request, from_at: Annotated[Instant, Query(alias="from")], to_at: Annotated[Instant, Query(alias="to")]
) -> Response:
    """What each funder owes for the redemptions of a period."""
    if to_at <= from_at:
        raise InvalidRequest("to must be after from", pointer="/query/to")
    found = service_of(request).ledger.read(lambda connection: settlement(connection, from_at, to_at))
    return json_answer({"from": from_at, "to": to_at, "funders": [one.to_dict() for one in found]})


def _campaign_response(campaign: Campaign, status: Literal[200, 201] = 200, *, now: datetime) -> StoredResponse:
    return StoredResponse(status, campaign_body(campaign, now=now), (f"campaign:{campaign.campaign_id}",))


def _offer_response(offer: Offer, status: Literal[200, 201] = 200) -> StoredResponse:
    return StoredResponse(status, offer_body(offer), (f"campaign:{offer.campaign_id}",))


def _audience_response(campaign_id: str, count: int) -> StoredResponse:
    return StoredResponse(200, orjson.dumps({"campaign_id": campaign_id, "added_count": count}))
