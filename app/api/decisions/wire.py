"""The wire's schemas: what requests and answers look like outside; pydantic in, plain bytes out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints, model_validator

from app.api.documents import RequestModel
from app.domain import Channel, CouponDetails, Line, Objective, ProductId, Proposition, Query, Slate, SlatePolicy
from app.errors import UnknownPlacement
from app.ingest.schema import Id
from app.settings import Placement

MAX_SIZE = 100


class BasketLine(RequestModel):
    """One product in the basket."""

    product_id: Id
    quantity: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False)


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("Input should lie between the years 1 and 9999 in UTC") from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class DecisionContext(RequestModel):
    """Where the customer is, and what they have in the basket and looked at."""

    channel: Channel | None = None
    store_id: Id | None = None
    basket: list[BasketLine] = Field(default_factory=list, max_length=200)
    recent: list[Id] = Field(default_factory=list, max_length=200, description="Product ids, latest first")
    now: Instant | None = None


Kind = Literal["product", "coupon"]
Text = Annotated[str, StringConstraints(max_length=256)]


class DecisionRequest(RequestModel):
    """What should this person see, here, now? `customer_id` or `anonymous_id` is enough."""

    customer_id: Id | None = None
    anonymous_id: Id | None = None
    placement: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    size: int | None = Field(default=None, ge=1, le=MAX_SIZE, description="Default: the placement's own size")
    kinds: list[Kind] = Field(default=["product"], min_length=1, max_length=2)
    exclude: list[Literal["purchased"]] | None = Field(
        default=None,
        max_length=1,
        description="Default: what training found, `purchased` where customers hardly ever buy a product again",
    )
    filters: dict[Text, list[Text]] = Field(
        default_factory=dict, max_length=20, description="Per product attribute the values that may be shown"
    )
    objective: Objective | None = Field(
        default=None, description="What the slate is ordered by. Default: the placement's own objective"
    )
    explain: bool = False
    context: DecisionContext = Field(default_factory=DecisionContext)

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
    return Query(
        placement=request.placement,
        size=request.size or placement.size,
        now_at=context.now or datetime.now(UTC),
        customer_id=request.customer_id,
        anonymous_id=request.anonymous_id,
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
        policy=placement.policy if request.objective is None else _policy(placement, request.objective),
    )


def _policy(placement: Placement, objective: Objective) -> SlatePolicy | None:
    """What the placement sets, but with this objective; None when that is nothing."""
    policy = replace(placement.policy or SlatePolicy(), objective=objective)
    return None if policy == SlatePolicy() else policy


class Money(BaseModel):
    """An amount in integer minor units of a currency."""

    amount_minor: int
    currency: str


class ReasonAnswer(BaseModel):
    """Why a proposition is shown, as a stable code and in words for the customer."""

    code: str
    text: str


class PropositionCoupon(BaseModel):
    """A coupon of the customer's, or with `coupon_id` null an offer that they may activate (`POST /v1/coupons`).

    `saving` is what it takes off one piece of the first of the products that it `applies_to`, null where unknown.
    """

    coupon_id: str | None
    code: str | None
    offer_id: str
    offer_revision: int
    campaign_id: str
    applies_to: list[str]
    saving: Money | None
    valid_until: datetime | None


class PropositionAnswer(BaseModel):
    """One place of the slate. A coupon's `product_id` is the product that it is shown for; `coupon` tells the rest.

    `factors` tells, under explain, what each column added to the score, and what the placement made of it.
    """

    kind: Literal["product", "coupon"]
    product_id: str
    rank: int
    score: float
    probability: float
    expected_value: Money | None
    propensity: float
    reasons: list[ReasonAnswer]
    name: str | None
    price: Money | None = Field(description="What one piece costs; held until `expires_at` of the decision")
    coupon: PropositionCoupon | None = None
    factors: dict[str, float] | None = None


class DecisionAnswer(BaseModel):
    """The slate, which model and policy made it, and in `degraded` what was missing.

    Prices and coupons of the propositions hold until `expires_at`, redeemed with this `decision_id`.
    """

    decision_id: str
    expires_at: datetime
    model_version: str | None
    policy: str
    degraded: list[str]
    propositions: list[PropositionAnswer]
    trace: dict[str, Any] | None = None


def answer_body(slate: Slate, *, currency: str, with_trace: bool, keep_s: int) -> bytes:
    """The JSON body of an answer, in the shape of DecisionAnswer; it holds for `keep_s` from now on."""
    body: dict[str, Any] = {
        "decision_id": slate.decision_id,
        "expires_at": datetime.now(UTC) + timedelta(seconds=keep_s),
        "model_version": slate.model_version,
        "policy": slate.policy,
        "degraded": slate.degraded,
        "propositions": _propositions(slate.propositions, currency),
    }
    if with_trace:
        body["trace"] = slate.trace.document()
    return orjson.dumps(body)


def _propositions(propositions: Sequence[Proposition], currency: str) -> list[dict[str, Any]]:
    numbers = np.array([(proposition.score, proposition.probability) for proposition in propositions])
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
        }
        for proposition, (score, chance) in zip(propositions, numbers.round(6).tolist(), strict=True)
    ]
    for shown, proposition in zip(wire, propositions, strict=True):
        if proposition.factors is not None:
            shown["factors"] = proposition.factors
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
