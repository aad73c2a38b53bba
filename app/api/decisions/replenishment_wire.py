"""What questions and answers about replenishment look like outside."""

from datetime import UTC, date, datetime
from typing import Any, Literal

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from app.api.decisions.wire import Instant, ReasonAnswer
from app.decision.replenishment.answer import MAX_HORIZON_DAYS, ExpectedPurchase, Replenishment, ReplenishmentQuery


class ReplenishmentRequest(BaseModel):
    """What is this customer likely to buy again? `now` asks what the answer would be at another time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    horizon_days: int = Field(default=7, ge=1, le=MAX_HORIZON_DAYS, description="Probability: bought in so many days")
    level: Literal["product", "category"] = Field(
        default="product", description="`category` needs a catalogue with a column `category`"
    )
    limit: int = Field(default=50, ge=1, le=5000)
    now: Instant | None = None


def to_replenishment_query(customer_id: str, request: ReplenishmentRequest) -> ReplenishmentQuery:
    """The question in the pipeline's words."""
    return ReplenishmentQuery(
        customer_id=customer_id,
        now_at=request.now or datetime.now(UTC),
        horizon_days=request.horizon_days,
        level=request.level,
        limit=request.limit,
    )


class ReplenishmentItem(BaseModel):
    """A product or category that the customer bought repeatedly. Dates are UTC.

    `expected_date` is the day by which it is more likely bought again than not, null beyond a year; `bought_count`
    baskets, estimated for a category; `mean_interval_days` null where all purchases fell on one day.
    """

    product_id: str | None = Field(description="Null on level category")
    category: str | None
    name: str | None
    probability: float = Field(description="Bought again within the horizon")
    expected_date: date | None
    last_bought: date
    bought_count: int
    mean_interval_days: float | None
    reasons: list[ReasonAnswer]


class ReplenishmentAnswer(BaseModel):
    """What the customer is likely to buy again, most likely first (docs/replenishment.md)."""

    customer_id: str
    model_version: str | None
    level: Literal["product", "category"]
    horizon_days: int
    degraded: list[str]
    items: list[ReplenishmentItem]


def replenishment_body(query: ReplenishmentQuery, answer: Replenishment, *, model_version: str | None) -> bytes:
    """The JSON body of an answer, in the shape of ReplenishmentAnswer."""
    body = {
        "customer_id": query.customer_id,
        "model_version": model_version,
        "level": query.level,
        "horizon_days": query.horizon_days,
        "degraded": answer.degraded,
        "items": [_item(row) for row in answer.purchases],
    }
    return orjson.dumps(body)


def _item(row: ExpectedPurchase) -> dict[str, Any]:
    return {
        "product_id": row.product_id,
        "category": row.category,
        "name": row.name,
        "probability": round(row.probability, 6),
        "expected_date": row.expected_on,
        "last_bought": row.last_bought_on,
        "bought_count": row.bought_count,
        "mean_interval_days": row.mean_interval_days,
        "reasons": [{"code": row.reason.code, "text": row.reason.text}],
    }
