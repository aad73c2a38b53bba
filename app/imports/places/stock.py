"""Import stock: a file of whole stores' quantities is compared with what is known, and counts from its instant on."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from textwrap import shorten
from time import perf_counter
from typing import cast

import polars as pl

from app.composition.stores import opened_ledger
from app.imports import values
from app.imports.checked import check, columns_of
from app.imports.journal.applied import journal_of
from app.imports.journal.records import BY_NOBODY, Intake, new_record, ongoing
from app.imports.journal.reports import report_of
from app.imports.places.cells import LINE, NUMBER, StagedFile
from app.imports.places.instants import aware, naive, sequence_of
from app.imports.places.known import known_stores, unknown_store
from app.imports.plan import Plan, as_read, opened, plan_of, zones_of_stores
from app.imports.reading.block import Block
from app.imports.report import COLUMNS_LENGTH, Difference, Differences, ImportReport, Reject, Rejects
from app.imports.values import ParsedColumn
from app.places.reports import HORIZON
from app.ports import Progress, StageProgress
from app.settings import Settings
from app.stores.sql.database.engine import Ledger
from app.stores.sql.places.reconciliation import LISTED, Reconciled, StockFile, StockLine, reconcile_stock, silent

TABLE = "stock"
SENDER = "stock file"
"""No client's, whose names hold no space."""
MILLI = 1_000
ANY_STORE = ""
"""In place of a store: refused rows may be of any."""
SEVERAL = "several lines for this product in this store: send one with the whole quantity"


def import_stock(
    settings: Settings,
    path: Path,
    *,
    now: datetime,
    progress: Progress,
    plan: Plan | None = None,
    intake: Intake = BY_NOBODY,
    is_complete: bool = True,
) -> ImportReport:
    """Reconciles the stores of `path`; raises BadInput when the file is unusable, StoreUnavailable.

    Unless the file `is_complete`, what it does not name stays as it is; so it does in stores of which a row is refused.
    """
    begun_s = perf_counter()
    zones = zones_of_stores(settings.tables_dir)
    plan = plan or plan_of(path, TABLE, time_zone=settings.time_zone, store_zones=zones)
    intake = as_read(plan, intake)
    if not is_complete:
        intake = replace(intake, mapping=f"{intake.mapping}, a part")
    with (
        closing(opened(plan)) as file,
        Rejects(settings.rejects_dir, table=TABLE, source=file.path) as rejects,
        opened_ledger(settings) as ledger,
        StagedStock(settings.data_dir, known_stores(ledger, settings), is_complete=is_complete) as staged,
    ):
        left_out = staged.take_in(file, rejects, now=now, progress=partial(progress, TABLE))
        record = new_record(TABLE, file, rejects.content, intake, currency=settings.currency, now=now)
        record = replace(record, rows_read=staged.count() + rejects.rows, rows_rejected=rejects.rows)
        with ongoing(journal_of(settings), record, now=now) as import_:
            at, place = datetime.fromisoformat(import_.record.at), import_.record.position
            found = staged.reconciled(ledger, at=at, place=place, now=now, progress=partial(progress, "stock compared"))
            first_at, last_at = (None if each is None else each.isoformat() for each in staged.instants())
            added = found.listed.differing
            import_.record = replace(import_.record, rows_added=added, first_at=first_at, last_at=last_at)
        report = report_of(record, rejects, file, added=added, begun_s=begun_s, left_out=left_out)
        return replace(report, notes=(*report.notes, *staged.notes()), differences=differences_of(found))


class StagedStock(StagedFile):
    """The sound rows of one file of stock, of stores that are known."""

    def __init__(self, room: Path | None, stores: Collection[str], *, is_complete: bool) -> None:
        super().__init__(room, {"as_of": pl.Datetime("us"), "quantity_milli": pl.Int64()})
        self._stores = stores
        self._is_complete = is_complete
        self._in_doubt: set[str] = set()

    def add(self, block: Block, *, now: datetime) -> Sequence[Reject]:
        """Takes the block's sound rows; returns what is wrong with the others."""
        parsed = _parsed(block, self._stores, now=now)
        checked = check(block, parsed)
        refused = parsed["store_id"].values.filter(~checked.sound)
        self._in_doubt.update(refused.drop_nulls())
        if block.broken or refused.null_count():
            self._in_doubt.add(ANY_STORE)
        rows = checked.frame.rename({"quantity": "quantity_milli"})
        self._cells.add(rows, pl.Series(LINE, block.lines).filter(checked.sound))
        return checked.rejects

    def contradictions(self) -> Iterator[Reject]:
        """Takes out all lines of products that a store has several of; which of them is right nobody knows."""
        several = "select store_id, product_id from staged group by all having count(*) > 1"
        numbers = f"select {NUMBER}, store_id from staged semi join ({several}) using (store_id, product_id)"
        shown = "store_id: store_id, product_id: product_id, quantity: quantity_milli / 1000"
        yield from self._cells.taken_out(numbers, shown=shown, reason=SEVERAL)
        self._in_doubt.update(str(store_id) for (store_id,) in self._cells.run("select distinct store_id from taken"))

    def reconciled(
        self,
        ledger: Ledger,
        *,
        at: datetime,
        place: int,
        now: datetime,
        progress: StageProgress = silent,
        dry_run: bool = False,
    ) -> Reconciled:
        """What differs, store by store as of its earliest row; `at` where none says it, `place` among files of one."""
        found, total = Reconciled(), self.count()
        is_complete = self._is_complete and ANY_STORE not in self._in_doubt
        self._cells.run(
            "create or replace table counts as select store_id, min(coalesce(as_of, $otherwise)) as counted_at,"
            " not list_contains($in_doubt::varchar[], store_id) as is_whole from staged group by store_id",
            otherwise=naive(at),
            in_doubt=sorted(self._in_doubt),
        )
        for counted_at, is_whole in self._cells.run("select distinct counted_at, is_whole from counts order by all"):
            assert isinstance(counted_at, datetime)
            instant = counted_at.replace(tzinfo=UTC)
            sequence = sequence_of(instant, place=place)
            lines = self._cells.rows(
                "select store_id, product_id, quantity_milli from staged join counts using (store_id)"
                " where counted_at = $counted_at and is_whole = $is_whole",
                counted_at=counted_at,
                is_whole=is_whole,
            )
            found += reconcile_stock(
                ledger,
                cast(Iterator[StockLine], lines),
                file=StockFile(instant, SENDER, bool(is_whole) and is_complete, sequence),
                now=now,
                dry_run=dry_run,
                progress=partial(_onwards, progress, found.listed.count, total),
            )
        return found

    def instants(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last at which stores were counted, as they were reconciled."""
        first, last = self._cells.run("select min(counted_at), max(counted_at) from counts")[0]
        return aware(first), aware(last)

    def notes(self) -> Iterator[str]:
        """What a person should know of stores whose rows are not all there."""
        if not self._is_complete:
            return
        if ANY_STORE in self._in_doubt:
            yield "of some refused rows nobody knows the store: products that the file lacks stay as they are"
        elif refused := sorted(
            self._in_doubt & {str(one) for (one,) in self._cells.run("select store_id from counts")}
        ):
            named = shorten(", ".join(refused), COLUMNS_LENGTH, placeholder=" …")
            yield f"stores with refused rows, where products that the file lacks stay as they are: {named}"


def differences_of(found: Reconciled) -> Differences:
    """The same as a report has it."""
    listed, missing = found.listed, found.missing
    return Differences(
        same=listed.same,
        differing=listed.differing,
        superseded=listed.superseded,
        missing=missing.count,
        emptied=missing.differing,
        first=tuple(
            Difference(one.store_id, one.product_id, _pieces(one.was_milli), one.is_milli / MILLI)
            for one in (*listed.first, *missing.first)[:LISTED]
        ),
    )


def _parsed(block: Block, stores: Collection[str], *, now: datetime) -> dict[str, ParsedColumn]:
    column = columns_of(block)
    store = values.identifiers(column("store_id"), compulsory=True)
    as_of = values.happened(column("as_of"), now=now)
    too_old = (f"more than {HORIZON.days} days ago: send a newer count", as_of.values < naive(now - HORIZON))
    return {
        "store_id": ParsedColumn(store.values, [*store.faults, unknown_store(store.values, stores)]),
        "product_id": values.identifiers(column("product_id"), compulsory=True),
        "quantity": values.thousandths(column("quantity")),
        "as_of": ParsedColumn(as_of.values, [*as_of.faults, too_old]),
    }


def _onwards(progress: StageProgress, before: int, total: int, done: int, _: int | None) -> None:
    progress(before + done, total)


def _pieces(milli: int | None) -> float | None:
    return None if milli is None else milli / MILLI
