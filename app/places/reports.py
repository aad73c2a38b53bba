"""What senders report of one product in one store: late, repeated, in any order, and yet with one result.

A stream is one sender's reports that have an order among themselves: those with a sequence number, or those without,
which are ordered by their time. Of each stream the statement with the highest key is kept; the stream with the latest
time over all its statements counts. Both are maxima, so they depend on which reports came and on nothing else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

HORIZON = timedelta(days=2)
"""Reports may be so late; older ones are refused, so that what is kept of others can end."""
SLACK = timedelta(hours=1)
"""So long after the horizon a report is settled: processes differ in their clock, and a sender's clock may run against
its sequence by so much. Whatever is accepted then has a higher key in the same stream."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

V = TypeVar("V")
Row = list[Any]
"""One line of a JSON document."""


class Outcome(StrEnum):
    """What became of a report.

    `duplicate`: known already, by sender and event id. `superseded`: something newer counts in its place.
    `too_late`: older than the horizon, and refused.
    """

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    TOO_LATE = "too_late"


class Stream(NamedTuple):
    """One sender's reports with a sequence, or those without."""

    sender: str
    is_sequenced: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What every report says of itself; the key of its stream is the sequence, or the time where there is none."""

    sender: str
    event_id: str
    at: datetime
    sequence: int | None

    @property
    def at_us(self) -> int:
        """The time in microseconds since 1970."""
        return microseconds(self.at)

    @property
    def stream(self) -> Stream:
        """Where it has its place."""
        return Stream(self.sender, self.sequence is not None)

    @property
    def key(self) -> int:
        """Its place there: the sequence, or the time in microseconds."""
        return self.at_us if self.sequence is None else self.sequence


class Statement(NamedTuple, Generic[V]):
    """What a stream says last: `value` at its highest `key`, and the latest time over all its statements."""

    key: int
    value: V
    latest_us: int


Statements = Mapping[Stream, Statement[V]]


def microseconds(at: datetime) -> int:
    """The aware instant in whole microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def instant(at_us: int) -> datetime:
    """The instant in UTC of `microseconds`."""
    return _EPOCH + at_us * _MICROSECOND


def check_age(at: datetime, *, now: datetime) -> Outcome | None:
    """`too_late` for a time before the horizon; None for one that may count."""
    return Outcome.TOO_LATE if at < now - HORIZON else None


def settled_before_us(now: datetime) -> int:
    """Nothing that is still accepted is older than this, nor below the key of what is older in its stream."""
    return microseconds(now - HORIZON - SLACK)


def stated(statements: Statements[V], report: Report, *, value: V) -> Statements[V]:
    """The statements with this one; of two at one key the lower value stays, which promises less."""
    stream, key, at_us = report.stream, report.key, report.at_us
    known = statements.get(stream)
    if known is None:
        return {**statements, stream: Statement(key, value, at_us)}
    # `V` has an order, which a type variable cannot say without a protocol of its own.
    is_next = key > known.key or (key == known.key and value < known.value)  # type: ignore[operator]
    latest_us = max(known.latest_us, at_us)
    new = Statement(key, value, latest_us) if is_next else known._replace(latest_us=latest_us)
    return statements if new == known else {**statements, stream: new}


def counting_stream(statements: Statements[V]) -> Stream | None:
    """The stream with the latest time, of several the last by name; None without any statement."""
    return max(statements, key=lambda stream: (statements[stream].latest_us, stream), default=None)


def outcome_of(report: Report, *, value: V, before: Statements[V], after: Statements[V]) -> Outcome:
    """What became of a statement that made `after` of `before`."""
    counting = counting_stream(after)
    now = after[report.stream]
    if counting != report.stream or (now.key, now.value) != (report.key, value):
        return Outcome.SUPERSEDED
    return Outcome.DUPLICATE if after is before else Outcome.COUNTED


def settled(statements: Statements[V], *, before_us: int) -> Statements[V]:
    """Only those that can still have an effect on reports that are not older than `before_us`, and the counting one.

    A statement that is settled lies before all that is still accepted, so it ends no change that comes, and its stream
    counts again by a newer statement only.
    """
    counting = counting_stream(statements)
    return {
        stream: statement
        for stream, statement in statements.items()
        if stream == counting or statement.latest_us >= before_us
    }


def rows_of(statements: Statements[V], *, row_of: Callable[[V], Row]) -> list[Row]:
    """The statements as JSON: sender, place in the stream (the time, or sequence and latest time), and the value."""
    return [
        [stream.sender, [one.key, one.latest_us] if stream.is_sequenced else [one.key], *row_of(one.value)]
        for stream, one in sorted(statements.items())
    ]


def statements_of(rows: Iterable[Row], *, value_of: Callable[[Row], V]) -> Statements[V]:
    """What `rows_of` made rows of."""
    # Without a sequence the key is the time, and so the highest key the latest time.
    return {
        Stream(sender, len(place) == 2): Statement(place[0], value_of(value), place[-1])
        for sender, place, *value in rows
    }
