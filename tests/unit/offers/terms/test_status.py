"""What a campaign may become, and what it is at an instant."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from app.errors import BadTransition
from app.offers.terms.status import Action, CampaignStatus, changed, effective_status

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DRAFT, SCHEDULED, RUNNING, PAUSED, ENDED = CampaignStatus

ALLOWED = {
    (DRAFT, "schedule"): SCHEDULED,
    (SCHEDULED, "pause"): PAUSED,
    (SCHEDULED, "end"): ENDED,
    (RUNNING, "pause"): PAUSED,
    (RUNNING, "end"): ENDED,
    (PAUSED, "resume"): RUNNING,
    (PAUSED, "end"): ENDED,
    (ENDED, "reopen"): PAUSED,
}


@pytest.mark.parametrize("status", CampaignStatus)
@pytest.mark.parametrize("action", get_args(Action))
def test_action_leads_where_it_should_or_is_refused(status: CampaignStatus, action: Action) -> None:
    if (status, action) in ALLOWED:
        assert changed(status, action) is ALLOWED[status, action]
        return
    with pytest.raises(BadTransition) as refused:
        changed(status, action)
    possible = [other for before, other in ALLOWED if before is status]
    assert refused.value.message == f"{action}: the campaign is {status}; possible: {', '.join(possible)}"


@pytest.mark.parametrize(
    ("status", "now", "expected"),
    [
        (DRAFT, START, DRAFT),
        (DRAFT, END, DRAFT),
        (SCHEDULED, START - TICK, SCHEDULED),
        (SCHEDULED, START, RUNNING),
        (SCHEDULED, END - TICK, RUNNING),
        (SCHEDULED, END, ENDED),
        (RUNNING, START - TICK, SCHEDULED),
        (RUNNING, START, RUNNING),
        (RUNNING, END, ENDED),
        (PAUSED, START, PAUSED),
        (PAUSED, END - TICK, PAUSED),
        (PAUSED, END, ENDED),
        (ENDED, START, ENDED),
    ],
)
def test_status_follows_the_clock(status: CampaignStatus, now: datetime, expected: CampaignStatus) -> None:
    assert effective_status(status, starts_at=START, ends_at=END, now=now) is expected


def test_campaign_without_dates_runs_once_scheduled_and_never_ends_by_itself() -> None:
    assert effective_status(SCHEDULED, starts_at=None, ends_at=None, now=END) is RUNNING
    assert effective_status(DRAFT, starts_at=None, ends_at=None, now=END) is DRAFT
