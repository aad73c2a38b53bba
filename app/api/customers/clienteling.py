"""`/v1/clienteling/customers/{customer_id}`: what store staff may know, within consent; every look is noted first."""

from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameters
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from app.api.access import client_of, needs
from app.api.coupons.wire import CouponAnswer, coupon_document
from app.api.customers.state import CartLineBody, NotedProduct
from app.api.customers.wire import PreferencesAnswer, preferences_body
from app.api.decisions.wire import DecisionRequest, PropositionAnswer, answer_body, to_query
from app.api.documents import json_answer
from app.api.fields import CUSTOMER_ID, PRODUCT_ID, DegradedFlags
from app.api.problems import documented
from app.api.state import Service, service_of
from app.bounds import NAME_LENGTH, Id
from app.customers.identities import customer_ids_of, named_customer, named_ids
from app.customers.state import person_state
from app.decision.customer.context import make_context
from app.decision.replenishment.answer import EPOCH_ORDINAL
from app.domain import Degraded, JsonObject, Query, Scope
from app.model.bundle import Bundle
from app.ports import CustomerState
from app.stores.sql.coupons.staff_issuing import wallet_of
from app.stores.sql.customers.audit import Look, note_look
from app.stores.sql.customers.groups import keys_of_customer
from app.stores.sql.customers.preferences import preferences_of
from app.stores.sql.database.engine import Transaction
from app.telemetry import no_timer

router = APIRouter(tags=["customers"])
PLACEMENT, SIZE = "in_aisle", 10
MOST_PURCHASES = 50
SIZE_ATTRIBUTE = "size"


class Purchased(BaseModel):
    """A product that the customer bought."""

    product_id: str = Field(description=PRODUCT_ID)
    name: str | None = Field(description="Its name; null where the product table has none")
    size: str | None = Field(description="Its size, where the product table has a column `size`")
    count: int = Field(description="In how many baskets it was")
    last_bought: date = Field(description="Day (UTC) of the last one")


class ClientelingAnswer(BaseModel):
    """What store staff may know of a customer in front of them."""

    customer_id: str = Field(description=CUSTOMER_ID)
    purchases: list[Purchased] = Field(description="What they bought, latest first")
    sizes: dict[str, int] = Field(description="How often each size was bought; empty without a column `size`")
    preferences: PreferencesAnswer = Field(description="What they want to see, and what not")
    saved: list[NotedProduct] = Field(description="Products that they saved, latest first")
    cart: list[CartLineBody] = Field(description="What is in their cart on any channel")
    coupons: list[CouponAnswer] = Field(description="Their coupons")
    recommendations: list[PropositionAnswer] = Field(description="What to show them here, as far as it is in stock")
    degraded: DegradedFlags


class LookQuery(BaseModel):
    """Who looks, where and why."""

    staff_id: Id = Field(description="Who looks, by the id that the retailer's own systems use")
    reason: Annotated[str, Field(min_length=3, max_length=NAME_LENGTH)] = Field(
        description="Why: it is in the audit log"
    )
    store_id: Id | None = Field(default=None, description="The store: what is recommended is in its stock")


@router.get(
    "/v1/clienteling/customers/{customer_id}",
    response_model=ClientelingAnswer,
    responses=documented(422, 503),
    **needs(Scope.STAFF),
)
async def look_at_customer(customer_id: Id, query: Annotated[LookQuery, Parameters()], request: Request) -> Response:
    """What the customer bought, saved and has, and what to show them here; found by card as `~loyalty_card:…`."""
    service, key = service_of(request), named_customer(customer_id).key
    look, now = Look(client_of(request), query.staff_id, query.reason), service.ledger.now()
    # First of all: who cannot be noted may not look.
    await run_in_threadpool(service.ledger.write, partial(note_look, look=look, key=key, now=now))
    of_ledger = await run_in_threadpool(service.ledger.read, partial(_of_ledger, customer_id=customer_id, now=now))
    return json_answer(of_ledger | await _profile(service, customer_id, query))


def _of_ledger(connection: Transaction, customer_id: str, now: datetime) -> JsonObject:
    """Coupons and preferences."""
    keys = keys_of_customer(connection, customer_id)
    # A person without a customer id holds no coupons.
    held = wallet_of(connection, customer_id) if customer_ids_of(keys) else []
    return {
        "customer_id": customer_id,
        "preferences": preferences_body(customer_id, preferences_of(connection, keys).values()),
        "coupons": [coupon_document(one, now=now) for one in held],
    }


async def _profile(service: Service, customer_id: str, query: LookQuery) -> JsonObject:
    """What is personal: nothing of it without consent."""
    ids = named_ids(customer_id, None)
    state = await service.people.read(*ids, channel="store")
    _, events = await service.states.read(customer_id)
    shared = person_state(events, now=datetime.now(UTC))
    found: JsonObject = {"saved": shared.saved, "cart": shared.cart}
    found |= {"purchases": [], "sizes": {}, "recommendations": []}
    bundle = service.live.bundle
    if Degraded.CONSENT_MISSING in state.degraded or bundle is None:
        missing = [Degraded.BUNDLE_MISSING] if bundle is None else []
        return found | {"degraded": [*state.degraded, *missing]}
    purchases = _purchases(bundle, state, service)
    sizes: dict[str, int] = {}
    for one in purchases:
        if one["size"] is not None:
            sizes[one["size"]] = sizes.get(one["size"], 0) + one["count"]
    slate = await _slate(service, customer_id, query)
    return found | {
        "purchases": purchases[:MOST_PURCHASES],
        "sizes": sizes,
        "recommendations": slate["propositions"],
        "degraded": slate["degraded"],
    }


async def _slate(service: Service, customer_id: str, query: LookQuery) -> JsonObject:
    in_store = [] if query.store_id is None else ["in_store"]
    context = {"channel": "store", "store_id": query.store_id, "fulfilment": in_store}
    placement = PLACEMENT if PLACEMENT in service.placements else next(iter(service.placements))
    body = {"customer_id": customer_id, "placement": placement, "size": SIZE, "context": context}
    question = to_query(DecisionRequest.model_validate(body), service.placements)
    slate = await service.fallback_chain.answer(question, no_timer)
    settings = service.settings
    answer = answer_body(slate, currency=settings.currency, with_trace=False, keep_s=settings.decision_keep_s)
    document: JsonObject = orjson.loads(answer)
    return document


def _purchases(bundle: Bundle, state: CustomerState, service: Service) -> list[dict[str, Any]]:
    """What is known of their purchases, latest first, as decisions count them."""
    question = Query(placement=PLACEMENT, size=1, now_at=datetime.now(UTC))
    context = make_context(question, bundle, state, stale_after_s=service.settings.features_stale_after_s)
    bought, catalogue = context.bought, bundle.catalogue
    sizes = catalogue.attributes.get(SIZE_ATTRIBUTE)
    found = []
    for position in (-bought.last_day).argsort(kind="stable").tolist():
        item = int(bought.items[position])
        code = -1 if sizes is None else int(sizes.codes[item])
        found.append(
            {
                "product_id": catalogue.product_ids[item],
                "name": catalogue.names[item],
                "size": None if sizes is None or code < 0 else sizes.vocabulary[code],
                "count": round(float(bought.count[position])),
                "last_bought": date.fromordinal(EPOCH_ORDINAL + int(bought.last_day[position])),
            }
        )
    return found
