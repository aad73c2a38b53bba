"""Logins and logouts: one row becomes a report that a device is a customer's from now on, or no longer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.bounds import Id, Instant
from app.domain import Channel
from app.ingest.schema import SenderSource, check_time, rejection

LOGIN, LOGOUT = "login", "logout"


class SessionRow(BaseModel):
    """A customer signed in on a device or browser, or signed out. From then on all their events are one person's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Id = Field(description="Unique among the events of its sender and `source`")
    source: SenderSource = None
    type: Literal["login", "logout"] = Field(description="`login` links the device with the customer, `logout` ends it")
    time: Instant = Field(description="When it happened, ISO 8601 with an offset; the latest of a device counts")
    customer_id: Id = Field(description="Who signed in or out")
    anonymous_id: Id = Field(description="The device or browser, as its other events name it")
    channel: Channel | None = Field(default=None, description="Where the customer was met")
    session_id: Id | None = Field(default=None, description="The visit to a site or app that it belongs to")


@dataclass(frozen=True, slots=True)
class SessionReport:
    """A login or logout, checked in form."""

    event_id: str
    is_login: bool
    at: datetime
    customer_id: str
    anonymous_id: str


class SessionOutcome(NamedTuple):
    """What became of a report: accepted, duplicate or rejected; `code` says why."""

    status: str
    code: str | None = None
    detail: str | None = None


def parse_session_event(row: Mapping[str, object], *, now: datetime) -> SessionReport:
    """The report of one row; raises RejectedEvent."""
    try:
        parsed = SessionRow.model_validate(row)
    except ValidationError as error:
        raise rejection(error) from None
    check_time(parsed.time, now=now)
    return SessionReport(parsed.id, parsed.type == LOGIN, parsed.time, parsed.customer_id, parsed.anonymous_id)
