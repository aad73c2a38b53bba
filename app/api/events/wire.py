"""What batches of events and their results look like outside."""

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SkipValidation,
)

from app.ingest.schema import EventRow


class EventBatch(BaseModel):
    """At most 200 events. Each row is judged by itself: one that is no Event is rejected, the others are kept."""

    model_config = ConfigDict(extra="forbid")

    events: list[SkipValidation[EventRow | Any]] = Field(min_length=1, max_length=200)


class EventResult(BaseModel):
    """What became of one row: `code` and `detail` say why when it was rejected."""

    id: str | None
    status: Literal["accepted", "duplicate", "rejected"]
    code: str | None = None
    detail: str | None = None


class EventResults(BaseModel):
    """One result per row, in the order of the request."""

    results: list[EventResult]
