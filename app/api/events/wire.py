"""What batches of events and their results look like outside."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.documents import ParsedLater, RequestModel
from app.ingest.schema import EventRow


class EventBatch(RequestModel):
    """At most 200 events. Each row is checked by itself: one that is no event is rejected, the others are kept."""

    events: list[Annotated[object, ParsedLater(EventRow)]] = Field(min_length=1, max_length=200)


class EventResult(BaseModel):
    """What became of one row: `code` and `detail` say why when it was rejected."""

    id: str | None
    status: Literal["accepted", "duplicate", "rejected"]
    code: str | None = None
    detail: str | None = None


class EventResults(BaseModel):
    """One result per row, in the order of the request."""

    results: list[EventResult]
