"""Events come in: each one checked, then seen-mark, live profile and stream written in one atomic step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.bounds import valid_text
from app.domain import Event
from app.errors import StoreUnavailable
from app.ingest.schema import RejectedEvent, parse_event

PART_EVENTS = 200
"""As many as one row may hold: some 3 ms of checking and packing, in which nobody else is answered."""


class EventStore(Protocol):
    """Where accepted events go, durably."""

    async def accept(self, batches: Sequence[Sequence[Event]]) -> list[bool]:
        """One answer per batch (the events of one row): True = accepted, False = seen before.

        Raises StoreUnavailable when it cannot say that the events are safe.
        """


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row; `code` and `detail` say why it was rejected."""

    event_id: str | None
    status: str
    code: str | None = None
    detail: str | None = None


Parsed = list[Event] | RowResult
"""A row's events, or why it has none."""


async def accept_rows(rows: Sequence[object], store: EventStore, *, client: str, now: datetime) -> list[RowResult]:
    """One result per row that this client sent, in order; a row that is rejected costs the others nothing.

    `store_unavailable` means: not known to be safe, send it again with the same id.
    """
    results: list[RowResult] = []
    for part in _parts(rows, client, now):
        results += await _accepted(part, store)
    return results


def _parts(rows: Sequence[object], client: str, now: datetime) -> Iterator[list[Parsed]]:
    """Checked rows in order, about `PART_EVENTS` events at a time: 40,000 at once would hold up everybody else."""
    part: list[Parsed] = []
    count = 0
    for row in rows:
        part.append(_parsed(row, client, now))
        count += len(part[-1]) if isinstance(part[-1], list) else 1
        if count >= PART_EVENTS:
            yield part
            part, count = [], 0
    if part:
        yield part


async def _accepted(part: list[Parsed], store: EventStore) -> list[RowResult]:
    batches = [events for events in part if not isinstance(events, RowResult)]
    try:
        answers = iter(await store.accept(batches) if batches else [])
    except StoreUnavailable as error:
        # Some may have arrived all the same: sent again they are answered `duplicate`.
        return [_unsafe(row, error.code) for row in part]
    return [row if isinstance(row, RowResult) else _result(row, next(answers)) for row in part]


def _parsed(row: object, client: str, now: datetime) -> list[Event] | RowResult:
    if not isinstance(row, dict):
        return RowResult(None, "rejected", "invalid_event", "an event is a JSON object")
    try:
        return parse_event(row, client=client, now=now)
    except RejectedEvent as error:
        given = row.get("id")
        return RowResult(valid_text(given) if isinstance(given, str) else None, "rejected", error.code, error.message)


def _result(events: list[Event], accepted: bool) -> RowResult:
    return RowResult(events[0].event_id, "accepted" if accepted else "duplicate")


def _unsafe(row: list[Event] | RowResult, code: str) -> RowResult:
    if isinstance(row, RowResult):
        return row
    return RowResult(row[0].event_id, "rejected", code, "not known to be safe; send it again with the same id")
