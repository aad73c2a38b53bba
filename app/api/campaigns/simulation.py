"""`/v1/campaigns/{campaign_id}/simulate`: what a campaign, as it is or changed, would have done to past baskets."""

import threading
from datetime import UTC, date, datetime
from functools import partial
from time import perf_counter, sleep
from typing import Annotated, Any, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, model_validator

from app.api.access import needs
from app.api.campaigns.wire import ChosenId, UnparsedCampaignTerms, UnparsedOfferTerms
from app.api.documents import RequestModel, json_answer
from app.api.problems import documented
from app.api.state import Service, service_of
from app.domain import Scope
from app.ingest.schema import Id
from app.model.known_attributes import known_attributes
from app.offers.planning.simulation import Sample, Simulation, Trial, simulate
from app.offers.terms.documents import parse_document
from app.offers.terms.terms import CampaignTerms, OfferTerms
from app.stores.sql.campaigns.campaigns import find_campaign, list_offers
from app.stores.sql.campaigns.memberships import list_tiers
from app.stores.sql.coupons.audience_issuing import customers_of

router = APIRouter(tags=["campaigns"])

MAX_DAYS, DEFAULT_DAYS = 90, 28
MAX_BASKETS = 20_000
MAX_OFFERS = 1_000
_one_at_a_time = threading.Lock()


class TrialOffer(RequestModel):
    """An offer to try: in place of the campaign's own of this id, or a new one."""

    offer_id: ChosenId | None = None
    # Not parsed with the body: `trial` points more exactly to what is wrong.
    terms: UnparsedOfferTerms


class SimulationRequest(RequestModel):
    """What to try, on which baskets; by default the campaign as it is, on the last four weeks of its audience.

    `offers` are tried beside the campaign's own, or alone where `offer_ids` is empty. `everybody`: as if all customers
    had the coupons, which is so anyway where the campaign has no audience.
    """

    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = DEFAULT_DAYS
    basket_count: Annotated[int, Field(ge=1, le=MAX_BASKETS)] = MAX_BASKETS
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    everybody: bool = False
    terms: UnparsedCampaignTerms | None = None
    offers: Annotated[list[TrialOffer], Field(max_length=MAX_OFFERS)] = Field(default_factory=list)
    offer_ids: Annotated[list[Id], Field(max_length=MAX_OFFERS)] | None = Field(
        default=None, description="Of the campaign's own offers only these; default: all that are not withdrawn"
    )

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [one.offer_id for one in self.offers if one.offer_id is not None]
        if len(set(ids)) < len(ids):
            raise ValueError("offers names an offer_id twice")
        return self

    def trial(self, campaign: CampaignTerms, offers: dict[str, OfferTerms]) -> Trial:
        """The campaign with what is to be tried; raises InvalidTerms."""
        terms = campaign if self.terms is None else parse_document(CampaignTerms, self.terms, "/terms")
        tried = {
            one.offer_id or f"new-{number}": parse_document(OfferTerms, one.terms, f"/offers/{number}/terms")
            for number, one in enumerate(self.offers)
        }
        return Trial(terms, offers | tried)


class EstimateAnswer(BaseModel):
    """A total, and by how much it may be off because only some customers were looked at; 0: all were."""

    value: float
    standard_error: float


class OfferOutcomeAnswer(BaseModel):
    """What one offer would have given."""

    offer_id: str
    redemptions: float
    discount_minor: float


class SimulationAnswer(BaseModel):
    """Totals over all customers in question; money in minor units of `currency`, before any budget runs out.

    `revenue_minor` is what the baskets that an offer applied to were paid with in fact.
    """

    campaign_id: str
    currency: str
    days: int
    baskets_seen: int
    customers_seen: int
    share_seen: float
    baskets_qualifying: EstimateAnswer
    customers_reached: EstimateAnswer
    discount_minor: EstimateAnswer
    cost_minor: EstimateAnswer
    points: EstimateAnswer
    revenue_minor: EstimateAnswer
    mean_discount_minor: float | None
    price_floor_share: float
    budget_used_up_on: date | None
    offers: list[OfferOutcomeAnswer]
    seconds: float


@router.post(
    "/v1/campaigns/{campaign_id}/simulate",
    response_model=SimulationAnswer,
    responses=documented(400, 404, 413, 422),
    **needs(Scope.ADMIN),
)
def simulate_campaign(campaign_id: Id, body: SimulationRequest, request: Request) -> Response:
    """Puts the offers to past baskets through the rules of the till; changes nothing. One runs at a time."""
    begun_s = perf_counter()
    service = service_of(request)
    trial, audience = _asked(service, campaign_id, body)
    with _one_at_a_time:
        sample = _drawn(service, body, audience)
        # Decisions go first: sleep lets them have the interpreter between two baskets.
        found = simulate(trial, sample, pause=partial(sleep, 0))
    return json_answer(_told(campaign_id, body, trial, found, perf_counter() - begun_s))


def _asked(service: Service, campaign_id: str, body: SimulationRequest) -> tuple[Trial, set[str] | None]:
    """The trial and whom it is for, None = everybody; raises CampaignNotFound and InvalidTerms."""
    campaign = service.ledger.read(partial(find_campaign, campaign_id=campaign_id))
    own = {
        offer.offer_id: offer.terms
        for offer in service.ledger.read(partial(list_offers, campaign_id=campaign_id))
        if offer.is_active and (body.offer_ids is None or offer.offer_id in body.offer_ids)
    }
    audience = None if body.everybody else service.ledger.read(partial(customers_of, campaign_id=campaign_id))
    return body.trial(campaign.terms, own), audience or None


def _drawn(service: Service, body: SimulationRequest, audience: set[str] | None) -> Sample:
    # Polars and deltalake would cost every server 60 MB and part of a second at its start.
    from app.api.campaigns.past_baskets import draw_baskets
    from app.history import History

    bundle = service.live.bundle
    catalogue = None if bundle is None else bundle.catalogue
    return draw_baskets(
        History(service.settings.history_dir).scan(),
        days=body.days,
        basket_count=body.basket_count,
        seed=body.seed,
        only=audience,
        tiers=service.ledger.read(list_tiers),
        described=lambda product_id: {} if catalogue is None else known_attributes(product_id, catalogue),
        now=datetime.now(UTC),
    )


def _told(campaign_id: str, body: SimulationRequest, trial: Trial, found: Simulation, seconds: float) -> dict[str, Any]:
    asked = {"campaign_id": campaign_id, "currency": trial.campaign.currency, "days": body.days}
    # orjson writes dataclasses as objects.
    figures = {name: getattr(found, name) for name in found.__slots__}
    return asked | figures | {"seconds": round(seconds, 3)}
