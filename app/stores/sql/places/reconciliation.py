"""A file of whole stores' stock against what is known: how the two differ, and the file's quantities from then on."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, select

from app.bounds import is_ahead
from app.errors import InvalidRequest
from app.places.reports import HORIZON, Outcome, check_age
from app.places.stock import StockHistory, StockReport
from app.ports import StageProgress
from app.stores.sql.database.chunks import CHUNK_ROWS
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.place_tables import stock
from app.stores.sql.places.cells import Cell
from app.stores.sql.places.changes import lock_changes
from app.stores.sql.places.stock import NO_ROW, read_rows, write_rows

T = TypeVar("T")
StockLine = tuple[str, str, int]
"""A store, a product, and the thousandths of it that are there."""

LISTED = 100
"""Differences that are named; all are counted."""


class StockDifference(NamedTuple):
    """What was known of one cell as of the file's instant (None: nothing), and what the file says."""

    store_id: str
    product_id: str
    was_milli: int | None
    is_milli: int


@dataclass(frozen=True, slots=True)
class StockDifferences:
    """How many cells were known as the file has them, otherwise, or by reports that are newer than the file.

    `first` names some that differ.
    """

    same: int = 0
    differing: int = 0
    superseded: int = 0
    first: Sequence[StockDifference] = ()

    def __add__(self, other: "StockDifferences") -> "StockDifferences":
        return StockDifferences(
            self.same + other.same,
            self.differing + other.differing,
            self.superseded + other.superseded,
            (*self.first, *other.first)[:LISTED],
        )

    @property
    def count(self) -> int:
        """All cells."""
        return self.same + self.differing + self.superseded


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How the lines of a file differ, and the cells of its stores that are not in it though it is complete."""

    listed: StockDifferences = StockDifferences()
    missing: StockDifferences = StockDifferences()

    def __add__(self, other: "Reconciled") -> "Reconciled":
        return Reconciled(self.listed + other.listed, self.missing + other.missing)


@dataclass(frozen=True, slots=True)
class StockFile:
    """What a file says of itself: as of when and by whom its quantities are.

    `is_complete`: whatever a store in the file has, the file has, so that other products of that store are at zero.
    `sequence`: where the sender orders its files otherwise than by `at` (`app.places.reports`).
    """

    at: datetime
    sender: str
    is_complete: bool = True
    sequence: int | None = None


def silent(_done: int, _total: int | None) -> None:
    """Progress that nobody looks at."""


def reconcile_stock(
    ledger: Ledger,
    lines: Iterable[StockLine],
    *,
    file: StockFile,
    now: datetime,
    dry_run: bool = False,
    progress: StageProgress = silent,
) -> Reconciled:
    """What differs; unless it is a dry run, the file's quantities count from its instant on, and changes after it.

    All lines are read before anything is written. They are written by many transactions, so that no other writer waits
    long; a file that was interrupted is sent again, with the same result. `progress` counts the lines. Raises
    InvalidRequest for an instant that is too old or in the future and for a cell that has several lines,
    StoreUnavailable.
    """
    _check_instant(file.at, now=now)
    compare = partial(_compare, file=file, now=now, dry_run=dry_run)
    run = ledger.read if dry_run else ledger.write
    # A database without a name is a file that SQLite removes: the lines need no memory, and come out in one order.
    with closing(sqlite3.connect("", isolation_level=None)) as staged:
        total = _stage(staged, lines)
        listed, missing = StockDifferences(), StockDifferences()
        for batch in _batches(staged.execute("SELECT store_id, product_id, quantity_milli FROM lines ORDER BY 1, 2")):
            listed += run(partial(compare, lines=batch))
            progress(listed.count, total)
        if file.is_complete:
            for batch in _batches(_missing(ledger, staged)):
                missing += run(partial(compare, lines=batch))
    return Reconciled(listed, missing)


def _check_instant(at: datetime, *, now: datetime) -> None:
    if check_age(at, now=now) is not None:
        days = HORIZON.days
        raise InvalidRequest(f"the stock is as of {at.isoformat()}, more than {days} days ago: send a newer file")
    if is_ahead(at, now=now):
        raise InvalidRequest(f"the stock is as of {at.isoformat()}, which is in the future: send when it was counted")


def _stage(staged: sqlite3.Connection, lines: Iterable[StockLine]) -> int:
    """Keeps the lines; returns how many there are."""
    columns = "store_id TEXT, product_id TEXT, quantity_milli INTEGER"
    staged.execute(f"CREATE TABLE lines ({columns}, PRIMARY KEY (store_id, product_id)) WITHOUT ROWID")
    staged.execute("BEGIN")
    for line in lines:
        try:
            staged.execute("INSERT INTO lines VALUES (?, ?, ?)", line)
        except sqlite3.IntegrityError as error:
            raise InvalidRequest(
                f"the file has several lines for product {line[1]} in store {line[0]}: send one with the whole quantity"
            ) from error
    staged.execute("COMMIT")
    return int(staged.execute("SELECT count(*) FROM lines").fetchone()[0])


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, CHUNK_ROWS)):
        yield batch


def _missing(ledger: Ledger, staged: sqlite3.Connection) -> Iterator[StockLine]:
    """A line of nothing for each cell that is known in one of the file's stores, and not in the file."""
    for (store_id,) in staged.execute("SELECT DISTINCT store_id FROM lines").fetchall():
        after = ""
        while products := ledger.read(partial(_products_after, store_id=store_id, after=after)):
            for product_id in products:
                cell = store_id, product_id
                if staged.execute("SELECT 1 FROM lines WHERE store_id = ? AND product_id = ?", cell).fetchone() is None:
                    yield store_id, product_id, 0
            after = products[-1]


def _products_after(connection: Connection, *, store_id: str, after: str) -> Sequence[str]:
    column = stock.c.product_id
    query = select(column).where(stock.c.store_id == store_id, column > after).order_by(column).limit(CHUNK_ROWS)
    return connection.execute(query).scalars().all()


def _compare(
    connection: Connection, *, lines: Sequence[StockLine], file: StockFile, now: datetime, dry_run: bool
) -> StockDifferences:
    if not dry_run:
        lock_changes(connection, "stock")
    rows = read_rows(connection, [(store_id, product_id) for store_id, product_id, _ in lines])
    after: dict[Cell, StockHistory] = {}
    differing: list[StockDifference] = []
    superseded = 0
    for store_id, product_id, quantity_milli in lines:
        known = rows.get((store_id, product_id), NO_ROW).history
        report = StockReport(file.sender, file.sender, file.at, sequence=file.sequence, quantity_milli=quantity_milli)
        after[store_id, product_id], outcome = known.applied(report)
        was_milli = known.quantity_at_milli(file.at)
        if outcome is Outcome.SUPERSEDED:
            superseded += 1
        elif was_milli != quantity_milli:
            differing.append(StockDifference(store_id, product_id, was_milli, quantity_milli))
    if not dry_run:
        write_rows(connection, rows, after=after, now=now)
    same = len(lines) - superseded - len(differing)
    return StockDifferences(same, len(differing), superseded, first=differing[:LISTED])
