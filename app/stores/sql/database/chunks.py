"""Rows in pieces that one statement can take: both databases bound its parameters."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

CHUNK_ROWS = 1000


def chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """The rows in their order, at most CHUNK_ROWS at a time."""
    for start in range(0, len(rows), CHUNK_ROWS):
        yield rows[start : start + CHUNK_ROWS]
