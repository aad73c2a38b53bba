"""`/v1/campaigns/{campaign_id}/offers/generate`: offers from a template, one per product and tier."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.api.campaigns.wire import OfferAnswer, offer_document
from app.api.documents import RequestModel, json_answer
from app.api.fields import PRODUCT_ID
from app.api.idempotency import idempotent, idempotent_request, respond
from app.api.problems import documented
from app.api.state import Service, service_of
from app.bounds import Id
from app.domain import ItemIdx, Scope
from app.errors import BundleMissing, InvalidRequest
from app.model.bundle import Catalogue
from app.offers.planning.generation import (
    GeneratedOffer,
    GenerationResult,
    Guardrails,
    LeftOutReason,
    PricedProduct,
    ValueTier,
    generated_offers,
)
from app.offers.terms.records import Campaign
from app.offers.terms.terms import OfferTerms
from app.settings import ProductSelector
from app.stores.sql.campaigns.campaigns import create_offer, find_campaign
from app.stores.sql.database.engine import Transaction
from app.stores.sql.redemption.idempotency import StoredResponse, run_idempotent

router = APIRouter(tags=["campaigns"])

MAX_GENERATED = 1_000
MAX_TIERS = 20
DEFAULT_COUNT = 100


class GenerationRequest(RequestModel):
    """Which products get an offer, of what value, and what none may exceed. Without `save` nothing is written."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "products": [{"attribute": "department", "values": ["GROCERY"]}],
                    "product_count": 10,
                    "value_tiers": [{"discount": {"type": "percent", "percent": 10}}],
                    "template": {"name": "{value} off {product}", "valid_days": 14},
                }
            ]
        }
    )

    products: Annotated[list[ProductSelector], Field(min_length=1, max_length=100)] = Field(
        description="The products to choose from"
    )
    value_tiers: Annotated[list[ValueTier], Field(min_length=1, max_length=MAX_TIERS)] = Field(
        description="What is given, and to whom: one offer per product for each"
    )
    guardrails: Guardrails = Field(default_factory=Guardrails, description="What no offer may exceed")
    template: dict[str, Any] = Field(
        default_factory=dict,
        description="The other fields of an offer's terms; in its name {product} and {value} are replaced",
    )
    product_count: Annotated[int, Field(ge=1, le=MAX_GENERATED)] = Field(
        default=DEFAULT_COUNT, description="Of these products the so many with most buyers"
    )
    save: bool = Field(default=False, description="Saves all offers at once; needs an Idempotency-Key")


class OfferDraft(BaseModel):
    """An offer that may be saved as it is."""

    product_id: str = Field(description=PRODUCT_ID)
    tier: int = Field(description="Which of `value_tiers`, from 0")
    price_minor: int = Field(description="What one piece costs, in minor units")
    price_is_listed: bool = Field(
        description="False: the product table has no price, so it is the mean of what was paid"
    )
    discount_minor: int = Field(description="What the offer takes off one piece, in minor units")
    terms: OfferTerms = Field(description="What POST /v1/campaigns/{campaign_id}/offers takes as `terms`")


class ProductWithoutOffer(BaseModel):
    """A product that gets no offer in a tier."""

    product_id: str = Field(description=PRODUCT_ID)
    tier: int = Field(description="Which of `value_tiers`, from 0")
    reason: LeftOutReason = Field(description="Why it gets none (docs/campaign-planning.md)")


class GenerationAnswer(BaseModel):
    """Drafts and, with `save`, the offers made of them; and what was left out."""

    campaign_id: str = Field(description="The campaign")
    drafts: list[OfferDraft] = Field(description="One per product and tier")
    saved: list[OfferAnswer] = Field(description="With `save` the offers, in the order of the drafts; else empty")
    left_out: list[ProductWithoutOffer] = Field(description="Products that get no offer, each with its reason")


@router.post(
    "/v1/campaigns/{campaign_id}/offers/generate",
    response_model=GenerationAnswer,
    responses={**documented(400, 404, 409, 413, 422), 201: {"model": GenerationAnswer}},
    **idempotent(Scope.ADMIN, is_required=False),
)
async def generate_offers(campaign_id: Id, body: GenerationRequest, request: Request) -> Response:
    """Makes offers within the guardrails: drafts to look at, or with `save` all of them at once under one key."""
    service = service_of(request)
    catalogue = _catalogue(service)
    work = partial(_generate, service, catalogue, campaign_id, body, now=service.ledger.now())
    generated = await run_in_threadpool(work)
    drafts = [_draft(one, catalogue) for one in generated.offers]
    document = {"campaign_id": campaign_id, "drafts": drafts, "saved": [], "left_out": generated.left_out}
    if not body.save:
        return json_answer(document)
    write = await idempotent_request(request)

    def save(connection: Transaction) -> StoredResponse:
        offers = [
            create_offer(connection, campaign_id, offer_id=None, terms=one.terms, now=write.now)
            for one in generated.offers
        ]
        saved = document | {"saved": [offer_document(offer) for offer in offers]}
        return StoredResponse(201, orjson.dumps(saved), (f"campaign:{campaign_id}",))

    return await respond(service, write, partial(run_idempotent, service.ledger, write, save))


def _catalogue(service: Service) -> Catalogue:
    """The products of the live bundle; raises BundleMissing."""
    if service.live.bundle is None:
        raise BundleMissing("no model is live, so no product has a price; run `endcap train` first")
    return service.live.bundle.catalogue


def _generate(
    service: Service, catalogue: Catalogue, campaign_id: str, body: GenerationRequest, *, now: datetime
) -> GenerationResult:
    """Raises CampaignNotFound, InvalidTerms, and InvalidRequest for too many offers."""
    campaign = service.ledger.read(partial(find_campaign, campaign_id=campaign_id))
    products = list(_products(catalogue, body, campaign))
    count = len(products) * len(body.value_tiers)
    if count > MAX_GENERATED:
        detail = f"{len(products)} products in {len(body.value_tiers)} tiers are {count} offers"
        raise InvalidRequest(f"/product_count: {detail}; at most {MAX_GENERATED}", pointer="/product_count")
    return generated_offers(
        body.template, products, body.value_tiers, body.guardrails, currency=campaign.terms.currency, now=now
    )


def _products(catalogue: Catalogue, body: GenerationRequest, campaign: Campaign) -> Iterator[PricedProduct]:
    """The products selected, most buyers first; one in another currency than the campaign's has no price here."""
    chosen = np.zeros(len(catalogue.product_ids), np.bool_)
    for one in body.products:
        chosen |= catalogue.mask_of(one)
    is_priced = catalogue.currency in (None, campaign.terms.currency)
    # Items are numbered by falling popularity.
    for item in np.flatnonzero(chosen)[: body.product_count]:
        # Below 0 stands for unknown.
        price_minor, cost_minor = int(catalogue.price_minor[item]), int(catalogue.unit_cost_minor[item])
        yield PricedProduct(
            catalogue.product_ids[item],
            catalogue.names[item] or catalogue.product_ids[item],
            price_minor if is_priced and price_minor >= 0 else None,
            cost_minor if is_priced and cost_minor >= 0 else None,
        )


def _draft(offer: GeneratedOffer, catalogue: Catalogue) -> dict[str, Any]:
    item: ItemIdx = catalogue.item_of[offer.product_id]
    return {
        "product_id": offer.product_id,
        "tier": offer.tier,
        "price_minor": offer.price_minor,
        "price_is_listed": bool(catalogue.is_listed[item]),
        "discount_minor": offer.discount_minor,
        "terms": offer.terms.model_dump(mode="json"),
    }
