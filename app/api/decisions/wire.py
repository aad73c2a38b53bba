"""The wire's schemas: what requests and answers look like outside; pydantic in, plain bytes out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.api.decisions.options import OptionAnswer, option_bodies
from app.api.documents import RequestModel
from app.api.fields import CUSTOMER_ID, ChannelField, DegradedFlags, ModelVersion, ProductIdText, StoreId
from app.api.money import Money
from app.bounds import QUANTITY_MAX, Id, Instant
from app.customers.identities import named_ids
from app.domain import Card, CouponDetails, Line, Objective, ProductId, Proposition, Query, SlatePolicy
from app.errors import UnknownPlacement
from app.ingest.schema import QUANTITY
from app.settings import Placement
from app.slates import Slate

MAX_SIZE = 100


class BasketLine(RequestModel):
    """One product in the basket."""

    product_id: ProductIdText
    quantity: float = Field(
        default=1.0,
        gt=0,
        le=QUANTITY_MAX,
        allow_inf_nan=False,
        description=QUANTITY,
    )


class PositionField(RequestModel):
    """Where the customer is, in degrees of WGS 84."""

    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False, description="North is positive")
    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False, description="East is positive")


OtherNow = Annotated[
    Instant | None,
    Field(description="Answer as of this instant, ISO 8601 with an offset. Default: now"),
]


class DecisionContext(RequestModel):
    """Where the customer is, what is in the basket, and what they looked at."""

    channel: ChannelField = None
    store_id: StoreId = None
    basket: list[BasketLine] = Field(default_factory=list, max_length=200, description="What is in the basket now")
    recent: list[Id] = Field(
        default_factory=list,
        max_length=200,
        description="Ids of the products viewed, latest first, each as often as it was viewed",
    )
    now: OtherNow = None
    fulfilment: list[Literal["in_store", "pickup", "ship", "deliver"]] = Field(
        default_factory=list,
        max_length=4,
        description="The ways to get a product that are welcome. Default: all that are possible (docs/places.md)",
    )
    pickup_store_id: StoreId = Field(
        default=None, description="Only what can be picked up in this store, unless `fulfilment` names other ways too"
    )
    deliver_by: Instant | None = Field(
        default=None, description="Only what the customer has by this instant, ISO 8601 with an offset"
    )
    position: PositionField | None = Field(
        default=None, description="Where the customer is, to find what is near. Default: where the store is"
    )


PropositionKind = Literal["product", "coupon"]
Text = Annotated[str, StringConstraints(max_length=256)]


class DecisionRequest(RequestModel):
    """What should this person see, here, now? `customer_id` or `anonymous_id` is enough."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "customer_id": "900",
                    "placement": "app_home",
                    "size": 5,
                    "context": {"channel": "app", "store_id": "330", "recent": ["1082185", "995242"]},
                }
            ]
        }
    )

    customer_id: Id | None = Field(default=None, description=CUSTOMER_ID)
    anonymous_id: Id | None = Field(default=None, description="A device or browser whose owner is unknown; may be new")
    placement: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="Name of the place to fill, such as app_home (docs/settings.md#placements)"
    )
    size: int | None = Field(
        default=None, ge=1, le=MAX_SIZE, description="How many propositions at most. Default: the placement's own size"
    )
    kinds: list[PropositionKind] = Field(
        default=["product"], min_length=1, max_length=2, description="What may be shown: products, coupons, or both"
    )
    exclude: list[Literal["purchased"]] | None = Field(
        default=None,
        max_length=1,
        description="`purchased` leaves out what the customer has bought, an empty list nothing. Default: what "
        "training found best, which is `purchased` where customers hardly ever buy a product again",
    )
    filters: dict[Text, Annotated[list[Text], Field(min_length=1)]] = Field(
        default_factory=dict, max_length=20, description="Per product attribute the values that may be shown"
    )
    objective: Objective | None = Field(
        default=None, description="What the slate is ordered by. Default: the placement's own objective"
    )
    explain: bool = Field(default=False, description="Adds `factors` to each proposition, and `trace` to the answer")
    context: DecisionContext = Field(
        default_factory=DecisionContext, description="Where the customer is, and what they have at hand"
    )

    @model_validator(mode="after")
    def _names_whom(self) -> "DecisionRequest":
        if self.customer_id is None and self.anonymous_id is None:
            raise ValueError("customer_id or anonymous_id is needed")
        return self


def to_query(request: DecisionRequest, placements: Mapping[str, Placement]) -> Query:
    """The question in the pipeline's words; raises UnknownPlacement."""
    placement = placements.get(request.placement)
    if placement is None:
        known = ", ".join(sorted(placements))
        raise UnknownPlacement(
            f"placement {request.placement!r} is not configured; known: {known}", pointer="/placement"
        )
    context = request.context
    customer_id, anonymous_id = named_ids(request.customer_id, request.anonymous_id)
    return Query(
        placement=request.placement,
        size=request.size or placement.size,
        now_at=context.now or datetime.now(UTC),
        customer_id=customer_id,
        anonymous_id=anonymous_id,
        kinds=frozenset(request.kinds),
        exclude_purchased=None if request.exclude is None else "purchased" in request.exclude,
        filters=request.filters,
        explain=request.explain,
        channel=context.channel,
        store_id=context.store_id,
        basket=tuple(Line(ProductId(line.product_id), line.quantity) for line in context.basket),
        recent=tuple(ProductId(product_id) for product_id in context.recent),
        new_products=placement.new_products,
        coupon_places=placement.coupon_places,
        max_coupons=placement.max_coupons,
        allows_age_restricted=placement.allow_age_restricted,
        fulfilment=tuple(context.fulfilment),
        pickup_store_id=context.pickup_store_id,
        position=None if context.position is None else (context.position.latitude, context.position.longitude),
        deliver_by_at=context.deliver_by,
        policy=placement.policy if request.objective is None else _policy(placement, request.objective),
    )


def _policy(placement: Placement, objective: Objective) -> SlatePolicy | None:
    """What the placement sets, but with this objective; None when that is nothing."""
    policy = replace(placement.policy or SlatePolicy(), objective=objective)
    return None if policy == SlatePolicy() else policy


class ReasonAnswer(BaseModel):
    """Why a proposition is shown."""

    code: str = Field(description="Stable, for programs (docs/ranking.md#5-reasons)")
    text: str = Field(description="In words for the customer")


class PropositionCoupon(BaseModel):
    """A coupon of the customer's, or an offer that they may activate with `POST /v1/coupons`."""

    coupon_id: str | None = Field(description="Null: an offer that the customer has not activated")
    code: str | None = Field(description="What a till scans; null until the offer is activated")
    offer_id: str = Field(description="The offer")
    offer_revision: int = Field(description="The offer's revision that is shown, from 1")
    campaign_id: str = Field(description="The offer's campaign")
    applies_to: list[str] = Field(description="Ids of the products that it takes something off, best fitting first")
    saving: Money | None = Field(
        description="What it takes off one piece of the first of these products; null where unknown"
    )
    valid_until: datetime | None = Field(description="First instant at which it is no longer valid; null: no end")


class PropositionAnswer(BaseModel):
    """One place of the slate."""

    kind: Literal["product", "coupon"] = Field(description="What is shown")
    product_id: str = Field(description="The product; of a coupon the one that it is shown for")
    rank: int = Field(description="Place in the slate, from 1")
    score: float = Field(description="What the model ranks by; higher is better")
    probability: float = Field(description="Chance that the product is in the customer's next basket, 0 to 1")
    expected_value: Money | None = Field(
        description="What showing it is worth: probability times price, or margin by objective; null where unknown"
    )
    propensity: float = Field(description="Chance that the policy shows it at this place, above 0 to 1")
    reasons: list[ReasonAnswer] = Field(description="Why it is shown, most important first")
    name: str | None = Field(description="The product's name; null where the product table has none")
    price: Money | None = Field(
        description="What one piece costs; guaranteed until `expires_at` of the decision, null where unknown"
    )
    image_url: str | None = Field(
        description="Where the product's picture is, a URL or a path as the product table has it; null where unknown"
    )
    url: str | None = Field(description="Where the product's page is; the same")
    brand: str | None = Field(description="The product's brand; null where unknown")
    category: str | None = Field(description="The product's category; null where unknown")
    rating: float | None = Field(
        description="What customers think of the product in the mean, on the product table's scale; null where unknown"
    )
    rating_count: int | None = Field(description="How many rated it; null where unknown")
    reference_price: Money | None = Field(
        default=None,
        description="Only of a reduced price: the lowest of the 30 days before, which a reduction may name",
    )
    options: list[OptionAnswer] | None = Field(
        default=None,
        description="Each way in which the product can be had here; absent where no stores are known (docs/places.md)",
    )
    coupon: PropositionCoupon | None = Field(default=None, description="Only of kind coupon: which one")
    factors: dict[str, float] | None = Field(
        default=None,
        description="Only under explain: what each column added to the score, and what the placement changed",
    )


class DecisionAnswer(BaseModel):
    """The slate, and which model and policy made it."""

    decision_id: str = Field(description="Names this decision in events, redemptions and `GET /v1/decisions`")
    expires_at: datetime = Field(
        description="Until then prices and coupons of the propositions are guaranteed where this `decision_id` is sent"
    )
    model_version: ModelVersion
    catalogue_version: str | None = Field(
        description="Names what the product table says here: equal in all answers while that stays, on any channel, "
        "another with any name, price, picture or other field of a product, and with the model. Null where none is live"
    )
    policy: str = Field(description="The policy that chose among what the model ranked")
    degraded: DegradedFlags
    propositions: list[PropositionAnswer] = Field(description="What to show, in the order of the places")
    eligible_count: int | None = Field(
        description="How many products may be shown to this question at all; null in an answer that is less than full"
    )
    price_version: int | None = Field(
        description="Number of the last change of a store's price; null where no stores are known"
    )
    trace: dict[str, Any] | None = Field(
        default=None, description="Only under explain: how the answer came about, for people; its keys may change"
    )


def answer_body(slate: Slate, *, currency: str, with_trace: bool, keep_s: int) -> bytes:
    """The JSON body of an answer, in the shape of DecisionAnswer; it holds for `keep_s` from now on."""
    body: dict[str, Any] = {
        "decision_id": slate.decision_id,
        "expires_at": datetime.now(UTC) + timedelta(seconds=keep_s),
        "model_version": slate.model_version,
        "catalogue_version": slate.catalogue_version,
        "policy": slate.policy,
        "degraded": slate.degraded,
        "propositions": _propositions(slate.propositions, slate.cards, currency),
        "eligible_count": slate.eligible_count,
        "price_version": slate.price_version,
    }
    if with_trace:
        body["trace"] = slate.trace.document()
    return orjson.dumps(body)


def _propositions(propositions: Sequence[Proposition], cards: Sequence[Card], currency: str) -> list[dict[str, Any]]:
    # Rounded as one flat array: round() for each of them, or an array of pairs, would cost more.
    numbers = np.array([one.score for one in propositions] + [one.probability for one in propositions])
    rounded = numbers.round(6).tolist()
    wire: list[dict[str, Any]] = [
        {
            "kind": proposition.kind,
            "product_id": proposition.product_id,
            "rank": proposition.rank,
            "score": score,
            "probability": chance,
            "expected_value": None
            if proposition.expected_minor is None
            else {"amount_minor": proposition.expected_minor, "currency": proposition.currency or currency},
            "propensity": proposition.propensity,
            "reasons": [{"code": code, "text": text} for code, text in proposition.reasons],
            "name": proposition.name,
            "price": None
            if proposition.price_minor is None
            else {"amount_minor": proposition.price_minor, "currency": proposition.currency or currency},
            "image_url": image_url,
            "url": url,
            "brand": brand,
            "category": category,
            "rating": rating,
            "rating_count": rating_count,
        }
        for proposition, score, chance, (image_url, url, brand, category, rating, rating_count) in zip(
            propositions, rounded, rounded[len(propositions) :], cards, strict=False
        )
    ]
    for shown, proposition in zip(wire, propositions, strict=True):
        if proposition.factors is not None:
            shown["factors"] = proposition.factors
        if proposition.reference_minor is not None:
            shown["reference_price"] = {
                "amount_minor": proposition.reference_minor,
                "currency": proposition.currency or currency,
            }
        if proposition.options is not None:
            shown["options"] = option_bodies(proposition.options, proposition.currency or currency)
        if proposition.coupon is not None:
            shown["coupon"] = _coupon(proposition.coupon, proposition.currency or currency)
    return wire


def _coupon(details: CouponDetails, currency: str) -> dict[str, Any]:
    saving = details.saving_minor
    return {
        "coupon_id": details.coupon_id,
        "code": details.code,
        "offer_id": details.offer_id,
        "offer_revision": details.offer_revision,
        "campaign_id": details.campaign_id,
        "applies_to": details.applies_to,
        "saving": None if saving is None else {"amount_minor": saving, "currency": currency},
        "valid_until": None if details.ends_s is None else datetime.fromtimestamp(details.ends_s, UTC),
    }
