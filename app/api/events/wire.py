"""What batches of events and their results look like outside."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.documents import ParsedLater, RequestModel
from app.ingest.places import InventoryRow, PriceRow
from app.ingest.schema import EventRow
from app.ingest.sessions import SessionRow


class EventBatch(RequestModel):
    """At most 200 events. Each row is checked by itself: one that is no event is rejected, the others are kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {
                            "id": "e-1",
                            "type": "view_item",
                            "time": "2026-11-21T17:00:00Z",
                            "customer_id": "900",
                            "channel": "web",
                            "product_id": "995242",
                        }
                    ]
                }
            ]
        }
    )

    events: list[Annotated[object, ParsedLater(EventRow, (SessionRow, InventoryRow, PriceRow))]] = Field(
        min_length=1, max_length=200, description="What happened, in any order"
    )


class EventResult(BaseModel):
    """What became of one row."""

    id: str | None = Field(description="The row's own id; null where it has none that can be read")
    status: Literal["accepted", "duplicate", "rejected"] = Field(
        description="`accepted` is safe and part of the next decision; `duplicate` was known by its id, and counts once"
    )
    code: str | None = Field(
        default=None, description="Why it was rejected, or is without effect: stable, for programs (docs/errors.md)"
    )
    detail: str | None = Field(default=None, description="The same in words")


class EventResults(BaseModel):
    """What became of each row."""

    results: list[EventResult] = Field(description="One per row, in the order of the request")
