"""Consent: what a customer allows, for which purpose, on which channel; the strictest of what their names say counts.

What was said last counts, for one channel or for all. An objection stands against every consent until it is lifted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

PERSONALIZATION = "personalization"
MARKETING = "marketing"
"""Objected to, it stands for PERSONALIZATION and for every purpose whose name begins with it."""
ALL_CHANNELS = ""
PURPOSE = r"[a-z][a-z0-9_]{0,39}"


class Status(StrEnum):
    """What is known of a consent; UNKNOWN: nobody ever said anything."""

    GRANTED = "granted"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"


GRANTED, WITHDRAWN, OBJECTED, LIFTED = "granted", "withdrawn", "objected", "lifted"
SAID = (GRANTED, WITHDRAWN, OBJECTED, LIFTED)
"""What somebody can say; LIFTED takes an objection back, and grants nothing."""
_STRICTNESS = {Status.UNKNOWN: 0, Status.GRANTED: 1, Status.WITHDRAWN: 2, Status.OBJECTED: 3}


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that was said about a purpose on a channel or on ALL_CHANNELS; `number` orders those of one instant."""

    purpose: str
    channel: str
    said: str
    at: datetime
    number: int = 0


def strictest(statuses: Iterable[Status]) -> Status:
    """What counts where several names of one person say different things; silence says nothing against a consent."""
    return max(statuses, key=_STRICTNESS.__getitem__, default=Status.UNKNOWN)


def status_of(statements: Sequence[Statement], purpose: str, channel: str) -> Status:
    """What one identity's statements say of a purpose on a channel (ALL_CHANNELS: on those that nobody named)."""
    if any(_is_objected(statements, objection) for objection in _objections_to(purpose)):
        return Status.OBJECTED
    said = [
        one
        for one in statements
        if one.purpose == purpose and one.said in (GRANTED, WITHDRAWN) and one.channel in (ALL_CHANNELS, channel)
    ]
    last = max(said, key=lambda one: (one.at, one.number), default=None)
    return Status.UNKNOWN if last is None else Status(last.said)


def statuses_of(statements_of: Iterable[Sequence[Statement]], purpose: str) -> dict[str, Status]:
    """What one person's names say of a purpose: by channel, where one was ever named, and on ALL_CHANNELS."""
    each = list(statements_of)
    channels = {ALL_CHANNELS, *(one.channel for of in each for one in of if one.purpose == purpose)}
    return {channel: strictest(status_of(of, purpose, channel) for of in each) for channel in sorted(channels)}


def status_on(statuses: Mapping[str, Status], channel: str | None) -> Status:
    """The status on a channel; on one that nobody named the strictest of all."""
    if channel is None:
        return strictest(statuses.values())
    return statuses.get(channel, statuses.get(ALL_CHANNELS, Status.UNKNOWN))


def is_allowed(status: Status, *, is_required: bool) -> bool:
    """Whether something may be done: where consent is required, silence is none."""
    return status is Status.GRANTED or (status is Status.UNKNOWN and not is_required)


def _objections_to(purpose: str) -> tuple[str, ...]:
    """The purposes whose objection stands against this one."""
    is_marketing = purpose == PERSONALIZATION or purpose.startswith(MARKETING)
    return (purpose, MARKETING) if is_marketing else (purpose,)


def _is_objected(statements: Sequence[Statement], purpose: str) -> bool:
    said = [one for one in statements if one.purpose == purpose and one.said in (OBJECTED, LIFTED)]
    last = max(said, key=lambda one: (one.at, one.number), default=None)
    return last is not None and last.said == OBJECTED
