"""What an import reports at its end, and the file that lists the rows it refused."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import IO, Self

from app.imports.reading.containers import parts_of

REASONS = 8
"""So many reasons of refusal are shown; the list has them all."""
LONG_ROWS = 10_000
"""From so many rows on the report says how fast they came in."""
EXAMPLE_LENGTH = 120
COLUMNS_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Reject:
    """One thing wrong with one row. `line` counts from 1: lines of a text file, rows of a Parquet file."""

    line: int
    column: str
    value: str
    reason: str
    raw: str

    @property
    def kind(self) -> str:
        """What is wrong with which column, by which faults are counted."""
        return f"{self.column}: {self.reason}" if self.column else self.reason


@dataclass(frozen=True, slots=True)
class Difference:
    """What was known of a product in a store as of a file's instant (None: nothing), and what the file says."""

    store_id: str
    product_id: str
    was: float | None
    now: float


@dataclass(frozen=True, slots=True)
class Differences:
    """How a file of stock differs from what was known as of its instant, in products of single stores.

    Of those in the file: `same`, `differing`, and `superseded` by newer reports. `missing` are not in the file though
    their store is; `emptied` of them were thought to be there. `first` names some that differ.
    """

    same: int
    differing: int
    superseded: int
    missing: int
    emptied: int
    first: tuple[Difference, ...] = ()

    def lines(self) -> Iterator[str]:
        """The same for people."""
        yield f"{self.same:,} as known, {self.differing:,} other, {self.superseded:,} reported again since"
        if self.missing:
            yield f"{self.missing:,} known products are not in the file, {self.emptied:,} of them were not at 0"
        for one in self.first[:REASONS]:
            was = "unknown" if one.was is None else f"{one.was:g}"
            yield f"store {one.store_id}, product {one.product_id}: {was} → {one.now:g}"
        if self.differing + self.emptied > REASONS:
            yield f"… and {self.differing + self.emptied - REASONS:,} more (--json has the first {len(self.first)})"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The end of one import: rows_read = rows_added + rows_known + rows_rejected + all that was left out."""

    table: str
    rows_read: int
    rows_added: int
    rows_known: int
    rows_rejected: int
    rejects_path: Path | None
    seconds: float
    ignored_columns: tuple[str, ...] = ()
    shift_days: int | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Rows by the reason for which they were left out, which is no fault of theirs."""
    guest_rows: int = 0
    """Rows without a customer, for whom their basket stands."""
    notes: tuple[str, ...] = ()
    import_id: str | None = None
    warnings: tuple[str, ...] = ()
    """What a person should look at, though every row is sound."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Faults by their reason, the most frequent first."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """By the reason of a fault a row that has it."""
    differences: Differences | None = None
    """Of a file of stock."""

    def to_dict(self) -> dict[str, object]:
        """The report in plain JSON types."""
        path = None if self.rejects_path is None else str(self.rejects_path)
        return asdict(self) | {"rejects_path": path, "ignored_columns": list(self.ignored_columns)}

    def lines(self) -> list[str]:
        """The report for people."""
        counts = (
            f"{self.table}: {self.rows_read:,} rows read, {self.rows_added:,} added, {self.rows_known:,} known, "
            f"{self.rows_rejected:,} rejected ({self.seconds:.1f} s"
        )
        counts += f", {self.rows_read / self.seconds:,.0f} rows/s)" if self.rows_read >= LONG_ROWS else ")"
        if self.import_id is not None:
            counts += f", import {self.import_id}"
        return [counts, *(f"  {line}" for line in self._details())]

    def _details(self) -> Iterator[str]:
        yield from self.notes
        yield from () if self.differences is None else self.differences.lines()
        yield from (f"{count:,} rows left out: {reason}" for reason, count in self.left_out.items())
        if self.guest_rows:
            yield f"{self.guest_rows:,} rows of guests: their basket stands for the customer"
        if self.ignored_columns:
            yield f"columns not used: {shorten(', '.join(self.ignored_columns), COLUMNS_LENGTH, placeholder=' …')}"
        yield from (f"warning: {warning}" for warning in self.warnings)
        for reason, count in list(self.reasons.items())[:REASONS]:
            yield f"{count:,} × {reason}: {self.examples[reason]}"
        if self.rejects_path is not None:
            yield f"rejected rows with reasons: {self.rejects_path}"


class Rejects:
    """Refused rows, written as they come to `<table>-<stem>-<hash of the content>.csv`; no file without any.

    The same content gives the same file name, so a repeated import replaces its list instead of piling up.
    Use as a context: an import that fails leaves the list of the one before. `content` is the whole hash.
    """

    def __init__(self, directory: Path, *, table: str, source: Path) -> None:
        stem = source.name.split(".")[0]
        self.content = _content_hash(source)
        self._target = directory / f"{table}-{stem}-{self.content[:8]}.csv"
        self._partial = self._target.with_suffix(".partial")
        self._file: IO[str] | None = None
        self._line = 0
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._partial.unlink(missing_ok=True)

    def add(self, rejects: Iterable[Reject]) -> None:
        """List `rejects`, which come in the order of their lines; a row with two faults counts once in `rows`."""
        for reject in rejects:
            if self._file is None:
                self._file = self._open()
            csv.writer(self._file).writerow([reject.line, reject.column, reject.value, reject.reason, reject.raw])
            self._reasons[reject.kind] += 1
            self._examples.setdefault(reject.kind, f"line {reject.line}, {reject.raw[:EXAMPLE_LENGTH]}")
            self.rows += reject.line != self._line
            self._line = reject.line

    def reasons(self) -> dict[str, int]:
        """How many faults there are of each kind, the most frequent first."""
        return dict(self._reasons.most_common())

    def examples(self) -> dict[str, str]:
        """A row for each kind of fault."""
        return dict(self._examples)

    def finish(self) -> Path | None:
        """The complete list's path; None, and no list of an earlier import left, when no row was refused."""
        if self._file is None:
            self._target.unlink(missing_ok=True)
            return None
        self._file.close()
        self._partial.replace(self._target)
        return self._target

    def _open(self) -> IO[str]:
        self._partial.parent.mkdir(parents=True, exist_ok=True)
        file = self._partial.open("w", encoding="utf-8", newline="")
        csv.writer(file).writerow(["line", "column", "value", "reason", "raw"])
        return file


def _content_hash(path: Path) -> str:
    if path.is_dir():
        return hashlib.blake2b("".join(map(_content_hash, parts_of(path))).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
