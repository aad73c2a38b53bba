"""`/v1/campaigns/{campaign_id}/simulate`: what a campaign, as it is or changed, would have done to past baskets."""

import threading
from datetime import UTC, date, datetime
from functools import partial
from time import perf_counter, sleep
from typing import Annotated, Any, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.api.access import needs
from app.api.campaigns.wire import ChosenId, UnparsedCampaignTerms, UnparsedOfferTerms
from app.api.documents import RequestModel, json_answer
from app.api.fields import CurrencyAnswer
from app.api.problems import documented
from app.api.state import Service, service_of
from app.bounds import Id
from app.domain import Scope
from app.model.known_attributes import known_attributes
from app.offers.planning.simulation import Sample, Simulation, SimulationInput, simulate
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

    offer_id: ChosenId = None
    # Not parsed with the body: `trial` points more exactly to what is wrong.
    terms: UnparsedOfferTerms = Field(description="What it promises")


class SimulationRequest(RequestModel):
    """What to try, on which baskets; by default the campaign as it is, on the last four weeks of its audience."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "days": 28,
                    "offer_ids": [],
                    "offers": [{"terms": {"name": "1 € off", "discount": {"type": "amount", "amount_minor": 100}}}],
                }
            ]
        }
    )

    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = Field(
        default=DEFAULT_DAYS, description="The last so many days of the history"
    )
    basket_count: Annotated[int, Field(ge=1, le=MAX_BASKETS)] = Field(
        default=MAX_BASKETS, description="How many baskets at most: all of each customer that is drawn"
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        default=0, description="Another number draws other customers"
    )
    everybody: bool = Field(
        default=False, description="As if all customers had the coupons; always so without an audience"
    )
    terms: UnparsedCampaignTerms | None = Field(
        default=None, description="Other terms to try: a budget, limits. Default: the campaign's own"
    )
    offers: Annotated[list[TrialOffer], Field(max_length=MAX_OFFERS)] = Field(
        default_factory=list, description="Offers to try together with the campaign's own"
    )
    offer_ids: Annotated[list[Id], Field(max_length=MAX_OFFERS)] | None = Field(
        default=None, description="Of the campaign's own offers only these. Default: all that are not withdrawn"
    )

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [one.offer_id for one in self.offers if one.offer_id is not None]
        if len(set(ids)) < len(ids):
            raise ValueError("offers names an offer_id twice")
        return self

    def to_input(self, campaign: CampaignTerms, offers: dict[str, OfferTerms]) -> SimulationInput:
        """The campaign with the offers to simulate; raises InvalidTerms."""
        terms = campaign if self.terms is None else parse_document(CampaignTerms, self.terms, "/terms")
        drafts = {
            one.offer_id or f"new-{number}": parse_document(OfferTerms, one.terms, f"/offers/{number}/terms")
            for number, one in enumerate(self.offers)
        }
        return SimulationInput(terms, offers | drafts)


class EstimateAnswer(BaseModel):
    """A total over all customers, and how exact it is."""

    value: float = Field(description="The total, in the unit of its field")
    standard_error: float = Field(
        description="By how much it may be off because only some customers were drawn, in the same unit; 0: all were"
    )


class OfferOutcomeAnswer(BaseModel):
    """What one offer would have given."""

    offer_id: str = Field(description="The offer")
    redemptions: float = Field(description="How often it would have been redeemed, over all customers")
    discount_minor: float = Field(description="What it would have taken off, in minor units, over all customers")


class SimulationAnswer(BaseModel):
    """Totals over all customers in question, before any budget runs out."""

    campaign_id: str = Field(description="The campaign")
    currency: CurrencyAnswer
    days: int = Field(description="The last so many days of the history")
    baskets_seen: int = Field(description="Baskets that were tried")
    customers_seen: int = Field(description="Customers that were drawn")
    share_seen: float = Field(description="Which part of all customers was drawn, 0 to 1")
    baskets_qualifying: EstimateAnswer = Field(description="Baskets that an offer applied to")
    customers_reached: EstimateAnswer = Field(description="Customers with such a basket")
    discount_minor: EstimateAnswer = Field(description="What all offers would have taken off, in minor units")
    cost_minor: EstimateAnswer = Field(description="What the funder would have paid, points included, in minor units")
    points: EstimateAnswer = Field(description="Loyalty points given")
    revenue_minor: EstimateAnswer = Field(description="What was really paid for qualifying baskets, in minor units")
    mean_discount_minor: float | None = Field(
        description="Discount of a qualifying basket on average, in minor units; null without one"
    )
    price_floor_share: float = Field(description="Part of the discount that price floors kept back, 0 to 1")
    budget_used_up_on: date | None = Field(
        description="Day on which the budget would have been used up; null where it lasts"
    )
    offers: list[OfferOutcomeAnswer] = Field(description="What each offer would have given")
    seconds: float = Field(description="How long the simulation took")


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
    plan, audience = _plan_and_audience(service, campaign_id, body)
    with _one_at_a_time:
        sample = _draw_sample(service, body, audience)
        # Decisions go first: sleep lets them have the interpreter between two baskets.
        simulation = simulate(plan, sample, pause=partial(sleep, 0))
    return json_answer(_simulation_document(campaign_id, body, plan, simulation, seconds=perf_counter() - begun_s))


def _plan_and_audience(
    service: Service, campaign_id: str, body: SimulationRequest
) -> tuple[SimulationInput, set[str] | None]:
    """What to simulate and for whom, None = everybody; raises CampaignNotFound and InvalidTerms."""
    campaign = service.ledger.read(partial(find_campaign, campaign_id=campaign_id))
    own = {
        offer.offer_id: offer.terms
        for offer in service.ledger.read(partial(list_offers, campaign_id=campaign_id))
        if offer.is_active and offer.fault is None and (body.offer_ids is None or offer.offer_id in body.offer_ids)
    }
    audience = None if body.everybody else service.ledger.read(partial(customers_of, campaign_id=campaign_id))
    # An empty audience means everybody, too.
    return body.to_input(campaign.terms, own), audience or None


def _draw_sample(service: Service, body: SimulationRequest, audience: set[str] | None) -> Sample:
    # Polars and deltalake would cost every server 60 MB and part of a second at its start.
    from app.api.campaigns.past_baskets import draw_baskets
    from app.history import History

    bundle = service.live.bundle
    catalogue = None if bundle is None else bundle.catalogue
    history, tiers = History(service.settings.history_dir), service.ledger.read(list_tiers)
    with history.kept():
        return draw_baskets(
            history.scan(),
            days=body.days,
            basket_count=body.basket_count,
            seed=body.seed,
            only=audience,
            tiers=tiers,
            described=lambda product_id: {} if catalogue is None else known_attributes(product_id, catalogue),
            now=datetime.now(UTC),
        )


def _simulation_document(
    campaign_id: str, body: SimulationRequest, plan: SimulationInput, simulation: Simulation, *, seconds: float
) -> dict[str, Any]:
    request = {"campaign_id": campaign_id, "currency": plan.campaign.currency, "days": body.days}
    # orjson writes dataclasses as objects.
    figures = {name: getattr(simulation, name) for name in simulation.__slots__}
    return request | figures | {"seconds": round(seconds, 3)}
