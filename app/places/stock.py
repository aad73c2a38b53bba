"""The stock of one product in one store, as reported: absolute quantities, and changes that count on top of the last.

Quantities are thousandths of the unit of sale. What is known is a function of the set of reports: a join-semilattice,
whose parts only grow (statements) or only shrink (changes that count).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from app.domain import JsonObject
from app.errors import InvalidRequest
from app.places.reports import (
    Outcome,
    Report,
    Statements,
    Stream,
    counting_stream,
    microseconds,
    outcome_of,
    rows_of,
    settled,
    settled_before_us,
    stated,
    statements_of,
)


@dataclass(frozen=True, slots=True)
class StockReport(Report):
    """An absolute quantity or a change of it; raises InvalidRequest unless it is exactly one of both."""

    quantity_milli: int | None = None
    change_milli: int | None = None

    def __post_init__(self) -> None:
        if (self.quantity_milli is None) == (self.change_milli is None):
            given = "neither" if self.quantity_milli is None else "both"
            raise InvalidRequest(
                f"the stock report {self.event_id} of {self.sender} gives {given}: give the quantity or its change"
            )


class Change(NamedTuple):
    """A report of a change. In its order the last of several with one event id counts, if a sender changes its word."""

    at_us: int
    key: int
    change_milli: int
    sender: str
    event_id: str
    is_sequenced: bool

    @property
    def stream(self) -> Stream:
        """Where `key` has its place."""
        return Stream(self.sender, self.is_sequenced)


@dataclass(frozen=True, slots=True)
class StockHistory:
    """What is kept of the reports: the last statement of each stream, and the changes that count, in their order.

    A change counts while it comes after the statement of its own stream (by key) and after those of all others (by
    time). Both can only cease to hold, so a change that does not count never will and is dropped.
    """

    statements: Statements[int] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    @property
    def quantity_milli(self) -> int | None:
        """What the counting stream states and all changes that count; below zero where more was sold than was known.

        None as long as no absolute quantity came.
        """
        return self._quantity(_changes_by_id(self.changes))

    def quantity_at_milli(self, at: datetime) -> int | None:
        """The quantity without the changes after `at`, for an instant that is not before the last statement."""
        at_us = microseconds(at)
        return self._quantity(_changes_by_id(change for change in self.changes if change.at_us <= at_us))

    def applied(self, report: StockReport) -> tuple["StockHistory", Outcome]:
        """The history with this report, and what became of that; the same object where it has no effect."""
        if report.quantity_milli is None:
            return self._changed(report)
        statements = stated(self.statements, report, value=report.quantity_milli)
        outcome = outcome_of(report, value=report.quantity_milli, before=self.statements, after=statements)
        if statements is self.statements:
            return self, outcome
        return StockHistory(statements, tuple(one for one in self.changes if _counts(one, statements))), outcome

    def settled(self, now: datetime) -> "StockHistory":
        """The same quantity from less: without what nothing that is still accepted can change.

        Changes that are settled become part of the stated quantity. Whatever comes then has a later time and, in their
        stream, a higher key: a statement would have ended them all, and counts in place of the stated quantity that
        they are part of. Without a stated quantity they are dropped: the first one would end them.
        """
        before_us = settled_before_us(now)
        statements = settled(self.statements, before_us=before_us)
        counting = counting_stream(statements)
        if counting is not None:
            last, changes = statements[counting], _changes_by_id(self.changes).values()
            value = last.value + sum(one.change_milli for one in changes if one.at_us < before_us)
            statements = {**statements, counting: last._replace(value=value)}
        return StockHistory(statements, tuple(one for one in self.changes if one.at_us >= before_us))

    def document(self) -> JsonObject:
        """The history for a JSON column, in short lists."""
        changes = [
            [one.sender, one.event_id, [one.key, one.at_us] if one.is_sequenced else [one.key], one.change_milli]
            for one in self.changes
        ]
        return {"stated": rows_of(self.statements, row_of=lambda value: [value]), "changes": changes}

    def _changed(self, report: StockReport) -> tuple["StockHistory", Outcome]:
        assert report.change_milli is not None
        stream = report.stream
        change = Change(
            report.at_us, report.key, report.change_milli, stream.sender, report.event_id, stream.is_sequenced
        )
        is_known = any((one.sender, one.event_id) == (change.sender, change.event_id) for one in self.changes)
        outcome = Outcome.DUPLICATE if is_known else Outcome.COUNTED
        if change in self.changes:
            return self, outcome
        if not _counts(change, self.statements):
            return self, Outcome.SUPERSEDED
        return replace(self, changes=tuple(sorted((*self.changes, change)))), outcome

    def _quantity(self, changes: Mapping[tuple[str, str], Change]) -> int | None:
        counting = counting_stream(self.statements)
        if counting is None:
            return None
        return self.statements[counting].value + sum(change.change_milli for change in changes.values())

    @staticmethod
    def of_document(document: JsonObject) -> "StockHistory":
        """What `document` wrote."""
        changes = [
            Change(place[-1], place[0], change, sender, event_id, len(place) == 2)
            for sender, event_id, place, change in document["changes"]
        ]
        statements = statements_of(document["stated"], value_of=lambda row: int(row[0]))
        return StockHistory(statements, tuple(changes))


def available_milli(quantity_milli: int | None, *, reserved_milli: int) -> int | None:
    """What can still be promised: never below zero; None where the quantity is unknown."""
    return None if quantity_milli is None else max(0, quantity_milli - reserved_milli)


def _counts(change: Change, statements: Statements[int]) -> bool:
    own = statements.get(change.stream)
    return (own is None or change.key > own.key) and all(
        change.at_us > other.latest_us for stream, other in statements.items() if stream != change.stream
    )


def _changes_by_id(changes: Iterable[Change]) -> dict[tuple[str, str], Change]:
    """Of each event the last in the order of changes, which is theirs."""
    return {(change.sender, change.event_id): change for change in changes}
