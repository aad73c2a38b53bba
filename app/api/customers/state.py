"""`/v1/customers/{customer_id}/state`: what one person can go on with on any channel."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from app.api.access import needs
from app.api.documents import json_answer
from app.api.fields import CUSTOMER_ID, PRODUCT_ID, DegradedFlags
from app.api.problems import documented
from app.api.state import service_of
from app.bounds import Id
from app.customers.identities import named_ids
from app.customers.state import person_state
from app.domain import Degraded, Scope

router = APIRouter(tags=["customers"])
CHANNEL = "Where that was; null where it was not said"


class CartLineBody(BaseModel):
    """A product in the cart."""

    product_id: str = Field(description=PRODUCT_ID)
    quantity: float = Field(description="In the product's unit of sale: pieces, kilograms, …")
    added_at: datetime = Field(description="When it was last put in")
    channel: str | None = Field(description=CHANNEL)


class NotedProduct(BaseModel):
    """A product that was saved or viewed."""

    product_id: str = Field(description=PRODUCT_ID)
    at: datetime = Field(description="When last")
    channel: str | None = Field(description=CHANNEL)


class JourneyBody(BaseModel):
    """An open way to a purchase, whichever channels it went through."""

    begun_at: datetime = Field(description="Its first event")
    last_at: datetime = Field(description="Its last event")
    stage: str = Field(description="How far it is: `browsing`, `cart` or `checkout`")
    channels: list[str] = Field(description="The channels, in the order in which they came")
    session_id: str | None = Field(description="The visit of its last event, where it named one")
    store_id: str | None = Field(description="The store of its last event, where it named one")


class StateAnswer(BaseModel):
    """What one person can go on with on any channel (docs/identity.md#state)."""

    customer_id: str = Field(description=CUSTOMER_ID)
    cart: list[CartLineBody] = Field(description="What was put in and neither removed nor bought, latest first")
    saved: list[NotedProduct] = Field(description="Saved products, latest first")
    recently_viewed: list[NotedProduct] = Field(description="Products looked at, latest first; none without consent")
    journey: JourneyBody | None = Field(description="Null where none is open")
    degraded: DegradedFlags


@router.get(
    "/v1/customers/{customer_id}/state", response_model=StateAnswer, responses=documented(422), **needs(Scope.DECIDE)
)
async def get_state(customer_id: Id, request: Request) -> Response:
    """Cart, saved products, views and open journey of the person, from all channels and under all their names."""
    service = service_of(request)
    _, events = await service.states.read(customer_id)
    state = person_state(events, now=datetime.now(UTC))
    # What was looked at is a profile; a cart and saved products are what the customer put there.
    allowed = await service.people.read(*named_ids(customer_id, None))
    is_missing = Degraded.CONSENT_MISSING in allowed.degraded
    return json_answer(
        {
            "customer_id": customer_id,
            "cart": state.cart,
            "saved": state.saved,
            "recently_viewed": () if is_missing else state.recently_viewed,
            "journey": None if is_missing else state.journey,
            "degraded": [Degraded.CONSENT_MISSING] if is_missing else [],
        }
    )
