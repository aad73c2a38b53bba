"""One person in the lists of rows that imports refused: lines of any format, which name people in any column."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO

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
        with path.open(encoding="utf-8", newline="") as file:
            rows = _reader(file)
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
    with path.open(encoding="utf-8", newline="") as file:
        gone = sum(_names(mentions, row) for row in _reader(file))
    if gone:
        replace_atomically(path, lambda unfinished: _write_without(path, unfinished, mentions))
        with path.open(encoding="utf-8", newline="") as file:
            # Its header stays at the most.
            if sum(1 for _ in _reader(file)) <= 1:
                path.unlink()
    return gone


def _write_without(source: Path, target: Path, mentions: Mentions) -> None:
    with source.open(encoding="utf-8", newline="") as old, target.open("w", encoding="utf-8", newline="") as new:
        csv.writer(new).writerows(row for row in _reader(old) if not _names(mentions, row))


def _names(mentions: Mentions, row: list[str]) -> bool:
    return any(mentions.are_in(field) for field in row)


def _reader(file: IO[str]) -> Iterator[list[str]]:
    # A refused line may be as long as the file that it is from; Python's own limit is 128 KB.
    csv.field_size_limit(FIELD_MAX)
    return csv.reader(file)
