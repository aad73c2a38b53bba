"""What questions and answers about replenishment look like outside."""

from datetime import UTC, date, datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel, Field

from app.api.decisions.wire import OtherNow, ReasonAnswer
from app.api.documents import RequestModel
from app.api.fields import CUSTOMER_ID, DegradedFlags, ModelVersion
from app.decision.replenishment.answer import MAX_HORIZON_DAYS, ExpectedPurchase, Replenishment, ReplenishmentQuery

Level = Literal["product", "category"]


class ReplenishmentRequest(RequestModel):
    """What is this customer likely to buy again?"""

    horizon_days: int = Field(
        default=7, ge=1, le=MAX_HORIZON_DAYS, description="`probability` is that of buying again in so many days"
    )
    level: Level = Field(default="product", description="`category` needs a catalogue with a column `category`")
    limit: int = Field(default=50, ge=1, le=5000, description="How many rows at most")
    allow_age_restricted: bool = Field(
        default=False, description="Lists products for people of age, as tobacco and alcohol, too"
    )
    now: OtherNow = None


def to_replenishment_query(customer_id: str, request: ReplenishmentRequest) -> ReplenishmentQuery:
    """The question in the pipeline's words."""
    return ReplenishmentQuery(
        customer_id=customer_id,
        now_at=request.now or datetime.now(UTC),
        horizon_days=request.horizon_days,
        level=request.level,
        limit=request.limit,
        allows_age_restricted=request.allow_age_restricted,
    )


class ReplenishmentItem(BaseModel):
    """A product or category that the customer bought repeatedly."""

    product_id: str | None = Field(description="The product; null on level category")
    category: str | None = Field(description="The category; of a product null where it has none")
    name: str | None = Field(description="The product's name; null where the product table has none")
    probability: float = Field(description="Chance of being bought again within the horizon, 0 to 1")
    expected_date: date | None = Field(
        description="Day (UTC) by which it is more likely bought again than not; null beyond a year"
    )
    last_bought: date = Field(description="Day (UTC) of the last purchase")
    bought_count: int = Field(description="Baskets that it was in; of a category an estimate")
    mean_interval_days: float | None = Field(
        description="Days between first and last purchase over baskets − 1; null where all fell on one day"
    )
    reasons: list[ReasonAnswer] = Field(description="Why it is listed")


class ReplenishmentAnswer(BaseModel):
    """What the customer is likely to buy again, most likely first (docs/replenishment.md)."""

    customer_id: str = Field(description=CUSTOMER_ID)
    model_version: ModelVersion
    level: Level = Field(description="What the rows are: products or categories")
    horizon_days: int = Field(description="Days that `probability` looks ahead")
    degraded: DegradedFlags
    items: list[ReplenishmentItem] = Field(description="Most likely first; empty where nothing was bought repeatedly")


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
