"""Events come in, each one checked: those of people get seen-mark, live profile and stream in one atomic step, those
of places go to the tables of stock and prices."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Protocol, TypeVar

from app.bounds import valid_text
from app.domain import Event
from app.errors import StoreUnavailable
from app.ingest.places import INVENTORY, PRICE, PlaceOutcome, PlaceReport, parse_place_event
from app.ingest.schema import RejectedEvent, parse_event
from app.ingest.sessions import LOGIN, LOGOUT, SessionOutcome, SessionReport, parse_session_event

T = TypeVar("T")
A = TypeVar("A")

PART_EVENTS = 200
"""As many as one row may hold: some 3 ms of checking and packing, in which nobody else is answered."""


class Acceptance(IntEnum):
    """What became of a row's events: they were seen before, they are in, or they are of somebody who was erased."""

    SEEN = 0
    NEW = 1
    ERASED = 2


class EventStore(Protocol):
    """Where accepted events go, durably."""

    async def accept(self, batches: Sequence[Sequence[Event]]) -> list[Acceptance]:
        """One answer per batch (the events of one row).

        Raises StoreUnavailable when it cannot say that the events are safe.
        """


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row; `code` and `detail` say why it was rejected."""

    event_id: str | None
    status: str
    code: str | None = None
    detail: str | None = None


class PlaceStore(Protocol):
    """Where reports of stock and prices go, durably."""

    async def report(self, reports: Sequence[PlaceReport], *, now: datetime) -> list[PlaceOutcome]:
        """What became of each report, in order. Raises StoreUnavailable when nothing is known to be safe."""


class SessionStore(Protocol):
    """Where logins and logouts go, durably."""

    async def report(self, reports: Sequence[SessionReport], *, now: datetime) -> list[SessionOutcome]:
        """What became of each report, in order. Raises StoreUnavailable when nothing is known to be safe."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where each kind of row goes."""

    events: EventStore
    places: PlaceStore
    sessions: SessionStore


RowCheck = Callable[[dict[str, Any]], dict[str, Any]]
"""What a sender's rows go through first: the row as it counts. Raises RejectedEvent."""
Parsed = list[Event] | PlaceReport | SessionReport | RowResult
"""A row's events or its report, or why it has none."""


async def accept_rows(
    rows: Sequence[object], stores: Stores, *, client: str, now: datetime, checked: RowCheck | None = None
) -> list[RowResult]:
    """One result per row that this client sent, in order; a row that is rejected costs the others nothing.

    `store_unavailable` means: not known to be safe, send it again with the same id.
    """
    results: list[RowResult] = []
    for part in _parts(rows, client, now, checked):
        results += await _accepted(part, stores, now)
    return results


def _parts(rows: Sequence[object], client: str, now: datetime, checked: RowCheck | None) -> Iterator[list[Parsed]]:
    """Checked rows in order, about `PART_EVENTS` events at a time: 40,000 at once would hold up everybody else."""
    part: list[Parsed] = []
    count = 0
    for row in rows:
        part.append(_parsed(row, client, now, checked))
        count += len(part[-1]) if isinstance(part[-1], list) else 1
        if count >= PART_EVENTS:
            yield part
            part, count = [], 0
    if part:
        yield part


async def _accepted(part: list[Parsed], stores: Stores, now: datetime) -> list[RowResult]:
    batches = [row for row in part if isinstance(row, list)]
    reports = [row for row in part if isinstance(row, PlaceReport)]
    sessions = [row for row in part if isinstance(row, SessionReport)]
    people = iter(await _answers(batches, stores.events.accept))
    of_places = iter(await _answers(reports, lambda given: stores.places.report(given, now=now)))
    of_sessions = iter(await _answers(sessions, lambda given: stores.sessions.report(given, now=now)))
    results = []
    for row in part:
        if isinstance(row, RowResult):
            results.append(row)
        elif isinstance(row, PlaceReport):
            results.append(_report_result(row.report.event_id, next(of_places)))
        elif isinstance(row, SessionReport):
            results.append(_report_result(row.event_id, next(of_sessions)))
        else:
            results.append(_result(row[0].event_id, next(people)))
    return results


async def _answers(
    rows: Sequence[T], accept: Callable[[Sequence[T]], Awaitable[Sequence[A]]]
) -> Sequence[A | StoreUnavailable]:
    """What the store says of each row, or that it cannot say."""
    try:
        return await accept(rows) if rows else []
    except StoreUnavailable as error:
        # Some may have arrived all the same: sent again they are answered `duplicate`.
        return [error] * len(rows)


def _parsed(row: object, client: str, now: datetime, checked: RowCheck | None) -> Parsed:
    if not isinstance(row, dict):
        return RowResult(None, "rejected", "invalid_event", "an event is a JSON object")
    try:
        if checked is not None:
            row = checked(row)
        # No hash of what may be a list.
        if row.get("type") in (INVENTORY, PRICE):
            return parse_place_event(row, client=client, now=now)
        if row.get("type") in (LOGIN, LOGOUT):
            return parse_session_event(row, now=now)
        return parse_event(row, client=client, now=now)
    except RejectedEvent as error:
        given = row.get("id")
        return RowResult(valid_text(given) if isinstance(given, str) else None, "rejected", error.code, error.message)


def _result(event_id: str, accepted: Acceptance | StoreUnavailable) -> RowResult:
    if isinstance(accepted, StoreUnavailable):
        return RowResult(event_id, "rejected", accepted.code, "not known to be safe; send it again with the same id")
    if accepted is Acceptance.ERASED:
        return RowResult(event_id, "rejected", "erased", "whom it is about was erased on request; nothing was kept")
    return RowResult(event_id, "accepted" if accepted is Acceptance.NEW else "duplicate")


def _report_result(event_id: str, outcome: PlaceOutcome | SessionOutcome | StoreUnavailable) -> RowResult:
    if isinstance(outcome, StoreUnavailable):
        return _result(event_id, outcome)
    return RowResult(event_id, outcome.status, outcome.code, outcome.detail)
