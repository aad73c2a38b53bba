"""One person in the lists of rows that imports refused: lines of any format, which name people in any column."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.customers.keys import PersonKeys
from app.domain import JsonObject
from app.erasure.mentions import Mentions
from app.files import replace_atomically

PATTERN = "*.csv"
FIELD_MAX = 2**31 - 1


def lines_of(folder: Path, keys: PersonKeys) -> Iterator[JsonObject]:
    """Refused rows that name the person, each with its list."""
    mentions = Mentions(keys)
    for path in sorted(folder.glob(PATTERN)):
        with _rows(path) as rows:
            header = next(rows, [])
            for row in rows:
                if _names(mentions, row):
                    yield {"list": path.name, **dict(zip(header, row, strict=False))}


def erase_lines(folder: Path, keys: PersonKeys) -> int:
    """Takes such rows out, and deletes lists without any other; returns how many rows. No import may be on its way."""
    mentions = Mentions(keys)
    # What killed imports, and a killed erasure, had begun.
    for path in (*folder.glob("*.partial"), *folder.glob(".tmp-*")):
        path.unlink()
    return sum(_erase(path, mentions) for path in sorted(folder.glob(PATTERN)))


def _erase(path: Path, mentions: Mentions) -> int:
    with _rows(path) as rows:
        gone = sum(_names(mentions, row) for row in rows)
    if gone:
        replace_atomically(path, lambda unfinished: _write_without(path, unfinished, mentions))
        with _rows(path) as rows:
            # Its header stays at the most.
            is_empty = sum(1 for _ in rows) <= 1
        if is_empty:
            path.unlink()
    return gone


def _write_without(source: Path, target: Path, mentions: Mentions) -> None:
    with _rows(source) as rows, target.open("w", encoding="utf-8", newline="") as new:
        csv.writer(new).writerows(row for row in rows if not _names(mentions, row))


def _names(mentions: Mentions, row: list[str]) -> bool:
    return any(mentions.are_in(field) for field in row)


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[list[str]]]:
    """The rows of a list: a refused line may be as long as the file that it is from; Python's own limit is 128 KB."""
    usual = csv.field_size_limit(FIELD_MAX)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield csv.reader(file)
    finally:
        csv.field_size_limit(usual)
