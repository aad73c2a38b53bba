"""Imports of rows of the history: brought in, taken back and replaced, each in one commit."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import polars as pl

from app.composition.history import history_of
from app.errors import BadInput
from app.history import History
from app.history.rows import FROM_IMPORT, IMPORT_ID, SOURCE
from app.history.table import Replacement
from app.imports.journal.applied import journal_of
from app.imports.journal.records import EVENTS, HISTORY_TABLES, ImportRecord, Intake, Journal, check_replaceable
from app.imports.journal.removal import Removal
from app.imports.shift import days_to_shift, forget_shift, kept_shifts, remember_shift
from app.imports.staging import StagedRows
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an import: rows that are new, how far its times were moved, and its id if it held any row.

    `erased_count`: rows of people who were erased while the file was read.
    """

    added: int
    shift_days: int | None
    import_id: str | None
    erased_count: int = 0


@dataclass(slots=True)
class Incoming:
    """An import on its way in: its rows, how far they are moved, and what is written of it just before each commit."""

    journal: Journal
    staged: StagedRows
    record: ImportRecord
    shift_source: str | None = None
    shift_days: int = 0
    added: int = 0

    def look_up(self, files: Sequence[str], *, gone: str | None = None, kept: Path | None = None) -> None:
        """Says in the journal what the commit is going to make true."""
        found = self.staged.look_up(files, import_id=self.record.import_id, gone=gone, kept=kept)
        known = self.journal.known_path(self.record.import_id)
        if found.others:
            self.staged.write_known(known, import_id=self.record.import_id)
        else:
            known.unlink(missing_ok=True)
        self.added = found.new
        if found.new and self.shift_source is not None:
            self.record = replace(self.record, shift_source=self.shift_source, shift_days=self.shift_days)
        first, last = self.staged.times()
        self.record = replace(
            self.record,
            rows_added=found.own + found.new,
            rows_known=self.record.rows_read - self.record.rows_rejected - found.own - found.new,
            first_at=_instant(first, self.shift_days),
            last_at=_instant(last, self.shift_days),
        )
        self.journal.write(self.record)

    def rows(self) -> Iterator[pl.DataFrame]:
        """Those that the history lacks."""
        owned = pl.lit(self.record.import_id).alias(IMPORT_ID)
        return (batch.with_columns(owned) for batch in self.staged.absent(shift_days=self.shift_days))


def check_early(settings: Settings, record: ImportRecord, intake: Intake) -> None:
    """Raises BadInput before a long file is read where it cannot come in or take the place of another."""
    journal = journal_of(settings)
    check_replaceable(intake, record, journal.live_alike(record, intake.replaces), journal=journal)


def store(
    settings: Settings, staged: StagedRows, record: ImportRecord, intake: Intake, *, shift: str | None, now: datetime
) -> Stored:
    """Brings staged rows into the history in one commit, in the place of another import where `intake` says so.

    `shift` names what keeps one time line, on which the rows are moved; None leaves their times alone. Raises BadInput
    where it cannot take that place, and StoreUnavailable when the disk does not take it. Rows of people who are erased
    by now stay out: who waits for the journal after that knows that no import brings them any more.
    """
    journal, history = journal_of(settings), history_of(settings)
    if not staged.rows:
        if intake.replaces is not None:
            raise BadInput(f"{record.file} brings no row; `endcap imports undo {intake.replaces}` takes the other back")
        shift_days = None if shift is None else days_to_shift(settings.tables_dir, shift, last_at=None, now=now)
        return Stored(added=0, shift_days=shift_days, import_id=None)
    with journal.held() as live:
        old = check_replaceable(intake, record, live, journal=journal)
        erased_count = staged.drop(intake.is_erased)
        record = replace(record, rows_rejected=record.rows_rejected + erased_count)
        record = journal.placed(record, live, instead_of=old)
        settle_shifts(settings.tables_dir, journal, history, without=old)
        incoming = Incoming(journal, staged, record)
        with _on_time_line(settings, incoming, shift, now=now) as shift_days:
            if old is not None:
                journal.write(replace(old, ended_at=now.isoformat(), replaced_by=record.import_id))
            added = _bring_in(history, incoming, live, instead_of=old)
        return Stored(added, shift_days, import_id=record.import_id, erased_count=erased_count)


def undo(settings: Settings, record: ImportRecord, live: Sequence[ImportRecord], *, now: datetime) -> int:
    """Takes one of the live imports back in one commit; returns how many rows went. The journal is held."""
    journal, history = journal_of(settings), history_of(settings)
    journal.write(replace(record, ended_at=now.isoformat(), replaced_by=None))
    gone = _exchange(history, journal, live, record.import_id, incoming=None, with_events=record.table == EVENTS)
    settle_shifts(settings.tables_dir, journal, history)
    return gone


@contextmanager
def _on_time_line(settings: Settings, incoming: Incoming, source: str | None, *, now: datetime) -> Iterator[int | None]:
    """How far the rows are moved. The first import of a source that adds rows binds the later ones."""
    folder = settings.tables_dir
    if source is None:
        yield None
        return
    is_first = days_to_shift(folder, source, last_at=None, now=now) is None
    days = days_to_shift(folder, source, incoming.staged.times()[1], now=now)
    if days is not None:
        incoming.shift_source, incoming.shift_days = source, days
        # Before the rows that have it: however an import ends, what it left in the history binds later files.
        if is_first:
            remember_shift(folder, source, days)
    try:
        yield days
    finally:
        if is_first and not incoming.added:
            forget_shift(folder, source)


def settle_shifts(tables_dir: Path, journal: Journal, history: History, *, without: ImportRecord | None = None) -> None:
    """Has every source the shift of its live imports, and none when all of them were taken back."""
    kept = kept_shifts(tables_dir)
    shifted = [one for one in journal.records(*HISTORY_TABLES) if one.shift_source is not None]
    applied = history.applied([one.import_id for one in shifted if one != without])
    live = {one.shift_source: one.shift_days for one in shifted if one.import_id in applied}
    for source in {one.shift_source for one in shifted if one.shift_source is not None}:
        days = live.get(source)
        if days is not None and kept.get(source) != days:
            remember_shift(tables_dir, source, days)
        elif days is None and source in kept and not _holds_unrecorded_rows(history):
            forget_shift(tables_dir, source)


def _holds_unrecorded_rows(history: History) -> bool:
    """Whether files came in before imports were recorded: they keep their time line."""
    unrecorded = (pl.col(SOURCE) == FROM_IMPORT) & pl.col(IMPORT_ID).is_null()
    return not history.scan().filter(unrecorded).select(IMPORT_ID).head(1).collect().is_empty()


def _bring_in(
    history: History, incoming: Incoming, live: Sequence[ImportRecord], *, instead_of: ImportRecord | None
) -> int:
    with_events = incoming.record.table == EVENTS
    if instead_of is not None:
        _exchange(history, incoming.journal, live, instead_of.import_id, incoming=incoming, with_events=with_events)
        return incoming.added

    def absent(files: Sequence[str]) -> Iterator[pl.DataFrame]:
        incoming.look_up(files)
        return incoming.rows()

    return history.append_absent(absent, import_id=incoming.record.import_id, with_events=with_events)


def _exchange(
    history: History,
    journal: Journal,
    live: Sequence[ImportRecord],
    gone: str,
    *,
    incoming: Incoming | None,
    with_events: bool,
) -> int:
    others = [one.import_id for one in live if one.table in HISTORY_TABLES and one.import_id != gone]
    with (
        journal.scratch() as folder,
        closing(Removal(folder, gone, [(one, journal.known_path(one)) for one in others])) as removal,
    ):

        def replaced(files: Sequence[str]) -> Replacement:
            owners = removal.look_up(files)
            new: Iterator[pl.DataFrame] = iter(())
            if incoming is not None:
                incoming.look_up(files, gone=gone, kept=removal.kept)
                owners = (*owners, incoming.record.import_id)
                new = incoming.rows()
            return Replacement(owners, chain(removal.remaining(files, owners), new))

        instead = None if incoming is None else incoming.record.import_id
        history.undo(gone, replaced, instead=instead, with_events=with_events)
        return removal.gone_count


def _instant(naive: datetime | None, shift_days: int) -> str | None:
    return None if naive is None else (naive.replace(tzinfo=UTC) + timedelta(days=shift_days)).isoformat()
