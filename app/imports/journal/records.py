"""What came in, import by import: one small file each, which says everything but whether it is applied.

That is for the data themselves to say, because only they change in one step: the history by an application transaction
of the commit of its rows, a product table by the layers that its footer names. A record without them never happened.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from time import time

import orjson

from app.errors import BadInput
from app.files import replace_durably, turn
from app.imports.quality.erased import IsErased, nobody
from app.imports.reading.block import TableFile

FOLDER = "imports"
SCRATCH = ".undo-"
KEPT_S = 86_400.0
ID_DIGITS = 10
EVENTS = "events"
HISTORY_TABLES = ("transactions", EVENTS)
"""The tables whose rows go into the history."""
LEDGER_TABLES = ("campaigns", "offers", "audience", "redemptions")
"""Where nothing is taken back: coupons were issued and money was booked."""
PLACE_TABLES = ("stock", "prices")
"""What later reports overrule, by file or by event."""
STAYING_TABLES = (*LEDGER_TABLES, *PLACE_TABLES, "promotions")
"""Whose imports stay; of promotions a corrected table takes the place row by row."""
REPEATED_WITHIN = timedelta(hours=12)
"""A file that comes again so soon, and none of its table in between, is sent again; later it is a new count that found
the same, as of a night on which nothing was sold."""
CANONICAL = "canonical"


@dataclass(frozen=True, slots=True)
class Intake:
    """Who brings a file in, how it is read, what it stands in for, and whose rows stay out."""

    by: str = ""
    mapping: str = CANONICAL
    replaces: str | None = None
    keeps_both: bool = False
    is_erased: IsErased = nobody


BY_NOBODY = Intake()


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """One import. `rows_added` came with it, `rows_known` were there before; instants are ISO 8601 in UTC."""

    import_id: str
    table: str
    file: str
    content: str
    mapping: str
    by: str
    at: str
    columns: tuple[str, ...] = ()
    position: int = 0
    rows_read: int = 0
    rows_added: int = 0
    rows_known: int = 0
    rows_rejected: int = 0
    first_at: str | None = None
    last_at: str | None = None
    shift_source: str | None = None
    shift_days: int | None = None
    ended_at: str | None = None
    """When it was taken back, or nearly so: it counts only while the data do not hold the import."""
    replaced_by: str | None = None
    is_finished: bool = True
    """False while rows go into the ledger, which has no room for the import's id."""


Applied = Callable[[Sequence[ImportRecord]], set[str]]
"""The ids of those whose rows are in the data."""


def new_record(
    table: str, file: TableFile, content: str, intake: Intake, *, currency: str, now: datetime
) -> ImportRecord:
    """What is known of an import before it is read; `currency` is that of amounts which do not say theirs."""
    # The same file in another currency holds other amounts.
    reading = intake.mapping if "currency" in file.columns else f"{intake.mapping} in {currency}"
    return ImportRecord(
        import_id=import_id_of(table, content, reading),
        table=table,
        file=file.path.name,
        content=content,
        mapping=intake.mapping,
        columns=tuple(file.columns),
        by=intake.by,
        at=now.isoformat(),
    )


def import_id_of(table: str, content: str, reading: str) -> str:
    """The same for the same file read the same way into the same table, whatever its name."""
    return hashlib.blake2b("\x1f".join((table, content, reading)).encode()).hexdigest()[:ID_DIGITS]


class Journal:
    """The records below `tables_dir`. Whoever writes one holds the journal; reading needs no such thing."""

    def __init__(self, tables_dir: Path, applied: Applied) -> None:
        self._folder = tables_dir / FOLDER
        self._applied = applied

    @property
    def folder(self) -> Path:
        """Where the records are, and what imports knew."""
        return self._folder

    @contextmanager
    def held(self) -> Iterator[list[ImportRecord]]:
        """One import, undo or replacement after the other, from looking at the data to the commit; gives the live ones.

        What an earlier one left that was cut off before its commit is gone by then.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with turn(self._folder / "lock"):
            records = self.records()
            live = self._live_of(records)
            there = {one.import_id for one in live}
            self._forget_what_never_was(one for one in records if one.import_id not in there)
            yield live

    def records(self, *tables: str) -> list[ImportRecord]:
        """All of these tables, or of every table, in the order in which they stand in for one another."""
        found = (_record(path.read_bytes()) for path in self._folder.glob("*.json"))
        return sorted(
            (one for one in found if not tables or one.table in tables), key=lambda one: (one.position, one.at)
        )

    def live(self) -> list[ImportRecord]:
        """Those that the data hold; what is in the ledger stays there."""
        return self._live_of(self.records())

    def live_alike(self, record: ImportRecord, replaces: str | None) -> list[ImportRecord]:
        """Of the live imports those of the same content, and the one that is to be replaced."""
        return self._live_of(
            [one for one in self.records() if one.content == record.content or one.import_id == replaces]
        )

    def find(self, import_id: str) -> ImportRecord | None:
        """The record of this id."""
        path = self._path(import_id)
        return _record(path.read_bytes()) if import_id.isalnum() and path.exists() else None

    def write(self, record: ImportRecord) -> None:
        """Keeps the record, in the place of an earlier one of its id."""
        replace_durably(self._path(record.import_id), orjson.dumps(asdict(record), option=orjson.OPT_INDENT_2))

    def restore(self, import_id: str, earlier: ImportRecord | None) -> None:
        """Has the record be as it was before a try that came to nothing."""
        if earlier is None:
            self._path(import_id).unlink()
        else:
            self.write(earlier)

    def known_path(self, import_id: str) -> Path:
        """Where the ids of those rows are that an import held but did not bring."""
        return self._folder / f"{import_id}.parquet"

    def placed(
        self, record: ImportRecord, live: Collection[ImportRecord], *, instead_of: ImportRecord | None
    ) -> ImportRecord:
        """The record in its place: where it is already, where what it replaces is, or after all others."""
        earlier = self.find(record.import_id)
        if earlier in live:
            # What it brought the first time stays as it is, on its time line.
            kept = {name: getattr(earlier, name) for name in ("position", "shift_source", "shift_days", "ended_at")}
            return replace(record, **kept)
        last = max((one.position for one in self.records()), default=0)
        # A crash before the commit must leave what was undone before as undone.
        ended_at = None if earlier is None else earlier.ended_at
        position = last + 1 if instead_of is None else instead_of.position
        return replace(record, position=position, ended_at=ended_at)

    def _live_of(self, records: Sequence[ImportRecord]) -> list[ImportRecord]:
        there = self._applied(records)
        return [one for one in records if one.import_id in there or (one.table in STAYING_TABLES and one.is_finished)]

    def _forget_what_never_was(self, absent: Iterable[ImportRecord]) -> None:
        """And what those that were taken back knew, a day later: until then a backup that began before may need it."""
        for path in self._folder.glob(f"{SCRATCH}*"):
            rmtree(path, ignore_errors=True)
        for record in absent:
            if record.table in STAYING_TABLES:
                continue
            known = self.known_path(record.import_id)
            if record.ended_at is None:
                self._path(record.import_id).unlink()
                known.unlink(missing_ok=True)
            elif known.exists() and time() - known.stat().st_mtime > KEPT_S:
                known.unlink()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for who holds the journal; the next one deletes it where this one cannot."""
        with TemporaryDirectory(prefix=SCRATCH, dir=self._folder) as folder:
            yield Path(folder)

    def _path(self, import_id: str) -> Path:
        return self._folder / f"{import_id}.json"


def check_replaceable(
    intake: Intake, record: ImportRecord, live: Collection[ImportRecord], *, journal: Journal
) -> ImportRecord | None:
    """The live import that `record` is to take the place of, if any.

    Raises BadInput where that cannot be, and where the same file came in under another mapping that nobody mentions.
    """
    old = None if intake.replaces is None else find_live(intake.replaces, live, journal=journal)
    if old is not None and old.table != record.table:
        raise BadInput(
            f"import {old.import_id} is one of {old.table}; --replace takes an import of {record.table} here"
        )
    if old is not None and old.import_id == record.import_id:
        raise BadInput(
            f"{record.file} is import {old.import_id} itself, read in the same way; there is nothing to replace"
        )
    twins = [one for one in live if one.content == record.content and one.table == record.table]
    twins = [one for one in twins if one.import_id != record.import_id and one != old]
    if twins and not intake.keeps_both:
        twin = twins[-1]
        how = f"mapping {twin.mapping}, this one {record.mapping}"
        if twin.mapping == record.mapping:
            how = "amounts without a currency are of another one"
        raise BadInput(
            f"{record.file} came in on {day(twin.at)} as import {twin.import_id}, read in another way ({how});"
            f" --replace {twin.import_id} takes its place, --keep-both adds"
        )
    return old


@contextmanager
def recorded(journal: Journal, record: ImportRecord) -> Iterator[Callable[[int], int]]:
    """Notes an import into the ledger before and after its rows go in; gives what takes their number.

    Cut off between the two it stays unfinished in the list. There the same file again adds what is missing.
    """
    added = 0

    def count(rows: int) -> int:
        nonlocal added
        added = rows
        return rows

    earlier = journal.find(record.import_id)
    with journal.held() as live:
        record = journal.placed(record, live, instead_of=None)
        journal.write(replace(record, is_finished=False))
        try:
            yield count
        except BaseException:
            # The ledger took nothing.
            journal.restore(record.import_id, earlier)
            raise
        if earlier is not None and earlier.is_finished:
            added += earlier.rows_added
        known = record.rows_read - record.rows_rejected - added
        journal.write(replace(record, rows_added=added, rows_known=known))


@dataclass(slots=True)
class Ongoing:
    """An import on its way: its `record`, kept as it is at the end. What names no instant counts as of `record.at`."""

    record: ImportRecord


@contextmanager
def ongoing(journal: Journal, record: ImportRecord, *, now: datetime) -> Iterator[Ongoing]:
    """Notes an import of many transactions before and after them; cut off in between it stays unfinished in the list.

    A file that is sent again keeps its instant and its place among the imports, and so changes nothing; others come
    after all before them.
    """
    with journal.held():
        known = journal.records()
        last = next((one for one in reversed(known) if one.table == record.table), None)
        brought = 0
        if last is not None and last.import_id == record.import_id and _is_recent(last, now=now):
            brought = last.rows_added
            record = replace(record, at=last.at, position=last.position)
        else:
            record = replace(record, position=max((one.position for one in known), default=0) + 1)
        journal.write(replace(record, is_finished=False))
        found = Ongoing(record)
        yield found
        added = found.record.rows_added + brought
        rows_known = record.rows_read - record.rows_rejected - added
        journal.write(replace(found.record, rows_added=added, rows_known=rows_known))


def _is_recent(record: ImportRecord, *, now: datetime) -> bool:
    return now - datetime.fromisoformat(record.at) < REPEATED_WITHIN


def find_live(import_id: str, live: Collection[ImportRecord], *, journal: Journal) -> ImportRecord:
    """The live import of this id; raises BadInput where there is none."""
    for record in live:
        if record.import_id == import_id:
            return record
    ended = journal.find(import_id)
    if ended is None or ended.ended_at is None:
        raise BadInput(f"import {import_id!r} is not known; `endcap imports` lists what came in")
    how = "undone" if ended.replaced_by is None else f"replaced by {ended.replaced_by}"
    raise BadInput(f"import {import_id} was {how} on {day(ended.ended_at)}; `endcap imports` lists what is there")


def day(instant: str) -> str:
    """The date of an instant, for people."""
    return instant[:10]


def _record(content: bytes) -> ImportRecord:
    fields = orjson.loads(content)
    return ImportRecord(**{**fields, "columns": tuple(fields["columns"])})
