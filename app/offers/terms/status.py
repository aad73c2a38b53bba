"""The states of a campaign, what leads from one to another, and which one it is in at an instant."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from app.errors import BadTransition


class CampaignStatus(StrEnum):
    """Where a campaign stands; only a running one gives anything."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


Action = Literal["schedule", "pause", "resume", "end", "reopen"]

_LEADS_TO: dict[tuple[CampaignStatus, Action], CampaignStatus] = {
    (CampaignStatus.DRAFT, "schedule"): CampaignStatus.SCHEDULED,
    (CampaignStatus.SCHEDULED, "pause"): CampaignStatus.PAUSED,
    (CampaignStatus.RUNNING, "pause"): CampaignStatus.PAUSED,
    # Scheduled again where its start is still to come: `effective_status` looks at the clock.
    (CampaignStatus.PAUSED, "resume"): CampaignStatus.RUNNING,
    (CampaignStatus.SCHEDULED, "end"): CampaignStatus.ENDED,
    (CampaignStatus.RUNNING, "end"): CampaignStatus.ENDED,
    (CampaignStatus.PAUSED, "end"): CampaignStatus.ENDED,
    (CampaignStatus.ENDED, "reopen"): CampaignStatus.PAUSED,
}


def changed(status: CampaignStatus, action: Action) -> CampaignStatus:
    """The state that the action leads to; raises BadTransition naming the actions that are possible instead."""
    after = _LEADS_TO.get((status, action))
    if after is None:
        possible = ", ".join(other for before, other in _LEADS_TO if before is status)
        raise BadTransition(f"{action}: the campaign is {status}; possible: {possible}", pointer="/action")
    return after


def effective_status(
    status: CampaignStatus, *, starts_at: datetime | None, ends_at: datetime | None, now: datetime
) -> CampaignStatus:
    """The state at `now`: what is scheduled or running runs from `starts_at` (None: at once) until before `ends_at`.

    A draft stays a draft; what is paused stays paused until it ends.
    """
    if status in (CampaignStatus.DRAFT, CampaignStatus.ENDED):
        return status
    if ends_at is not None and now >= ends_at:
        return CampaignStatus.ENDED
    if status is CampaignStatus.PAUSED:
        return status
    return CampaignStatus.RUNNING if starts_at is None or now >= starts_at else CampaignStatus.SCHEDULED
