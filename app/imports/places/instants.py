"""Instants of files of stock and prices: as DuckDB keeps them, and where a report of theirs has its place."""

from datetime import UTC, datetime

PLACES_MAX = 10**6
"""Imports that have one second of a sequence."""


def naive(at: datetime) -> datetime:
    """The aware instant in UTC, without saying so."""
    return at.astimezone(UTC).replace(tzinfo=None)


def aware(at: object) -> datetime | None:
    """What `naive` made of an instant as that again; None where it is none."""
    return at.replace(tzinfo=UTC) if isinstance(at, datetime) else None


def sequence_of(at: datetime, *, place: int) -> int:
    """Orders reports by their second, and those of one second by the place of their import: the last one counts."""
    return int(at.timestamp()) * PLACES_MAX + place % PLACES_MAX
