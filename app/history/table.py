"""Every transaction and event, once: the Delta table that imports and the worker write and training reads."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import PrimitiveType

from app.customers.keys import PersonKeys
from app.errors import StoreUnavailable
from app.files import shared_turn, turn
from app.history.erasure import drop_old_files, remove_rows
from app.history.log import forget_values, transaction_versions
from app.history.person import is_theirs
from app.history.retention import expired
from app.history.rows import FROM_EVENT, IMPORT_ID, ROW_ID, SCHEMA, SOURCE, TIME

EVENTS = "events"
IMPORTS = "imports"
REMOVALS = "removals"
# Delta takes no notice of names that begin like this.
LOCK = "_events.lock"
FILES_LOCK = "_files.lock"
ERASURE_LOCK = "_erasure.lock"

# One of n writers wins every round, so n - 1 defeats are the worst; nobody runs as many writers as this.
ATTEMPTS = 50
# Compaction leaves files above this alone, so a large import is never rewritten for the sake of a few events.
COMPACT_TARGET_BYTES = 32 * 2**20
# What the writer holds in memory at a time.
ROW_GROUP_ROWS = 131_072
# A reader that planned its scan before a compaction still finds its files for this long.
VACUUM_AFTER_H = 24
STATISTICS = (TIME, IMPORT_ID)
"""Columns whose lowest and highest values the log may have: of others they would be somebody's ids."""
KEPT = {
    "delta.dataSkippingStatsColumns": ",".join(STATISTICS),
    "delta.logRetentionDuration": "interval 6 hours",
    # Longer than a vacuum waits, which finds by these entries what it may delete.
    "delta.deletedFileRetentionDuration": "interval 26 hours",
}
"""Each commit reads what the log keeps of those before, 16 µs for each: Delta's own 30 days would make it seconds."""

AbsentRows = Callable[[Sequence[str]], Iterable[pl.DataFrame]]
"""Gives, in batches, the rows whose row_id is in none of these files; called again after a lost race."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """`rows` take the place of every row of `imports`, and belong to no other import."""

    imports: Sequence[str]
    rows: Iterable[pl.DataFrame]


Replaced = Callable[[Sequence[str]], Replacement]
"""Gives the replacement as of these files; called again after a lost race."""


class History:
    """The table at `path`. Any number of threads and processes may write."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def scan(self) -> pl.LazyFrame:
        """All rows as of now, with `SCHEMA`; empty when nothing was ever written."""
        return self.snapshot()[0]

    def snapshot(self) -> tuple[pl.LazyFrame, int | None]:
        """All rows as of now and the Delta version that holds just them; (empty, None) when there is no table."""
        table = self._existing()
        if table is None:
            return pl.LazyFrame(schema=SCHEMA), None
        return _rows(table), table.version()

    def scan_at(self, version: int) -> pl.LazyFrame | None:
        """The rows of that Delta version; None once it, or a file of it, is no longer kept."""
        try:
            table = DeltaTable(self._path, version=version)
        except DeltaError:
            return None
        # A vacuum deletes files that an older version still lists.
        return _rows(table) if all(Path(uri).exists() for uri in table.file_uris()) else None

    def version(self) -> int | None:
        """The Delta version, which compaction raises too; None when there is no table."""
        table = self._existing()
        return None if table is None else table.version()

    def import_version(self) -> str | None:
        """Changes when an import adds a row, and when rows are taken out; None when there is no table."""
        return self._counted(IMPORTS)

    def removal_version(self) -> str | None:
        """Changes when an import is taken back or a person erased: what was derived may hold too much."""
        return self._counted(REMOVALS)

    def applied(self, import_ids: Iterable[str]) -> set[str]:
        """Those of the imports whose rows are in the table: the one truth about it, part of the commits of the rows."""
        versions = transaction_versions(self._path)
        return {one for one in import_ids if versions.get(_state_of(one), 0) % 2}

    def append_new(self, rows: pl.DataFrame) -> int:
        """Add those `rows` whose row_id is new; returns how many. Costs one read of the table's row ids."""
        unique = _one_per_id(rows)
        return self.append_absent(lambda files: [_absent(unique, files)])

    def append_absent(self, absent: AbsentRows, *, import_id: str | None = None, with_events: bool = False) -> int:
        """Add what `absent` gives in one commit, all or nothing, in bounded memory; returns how many rows.

        They are rows of `import_id`, which counts as applied from this commit on, also without any row;
        `with_events` when some may be events. Raises StoreUnavailable when the disk does not take them.
        """
        names = (IMPORTS, EVENTS) if with_events else (IMPORTS,)
        return self._committed(
            lambda table: _append(table, absent(table.file_uris()), names, of=import_id), with_events=with_events
        )

    def undo(
        self, import_id: str, replaced: Replaced, *, instead: str | None = None, with_events: bool = False
    ) -> None:
        """In one commit, exchange the rows of an import, and perhaps of others, for what `replaced` gives.

        `import_id` is no longer applied then, `instead` is. Costs reading and writing the files that hold rows of
        the imports. Raises StoreUnavailable when the disk does not take them.
        """
        states = {import_id: False} if instead is None else {import_id: False, instead: True}
        names = (IMPORTS, REMOVALS, EVENTS) if with_events else (IMPORTS, REMOVALS)
        self._committed(
            lambda table: _replace(table, replaced(table.file_uris()), names, states=states), with_events=with_events
        )

    def append_events(self, rows: pl.DataFrame) -> int:
        """Add those event rows that the table lacks; returns how many. Redelivery and other writers do no harm.

        StoreUnavailable when the disk does not take them. Costs one read of all event ids: 30 ms for 2,000 rows on 2 M.
        """
        unique = _one_per_id(rows)
        if unique.is_empty():
            return 0
        return self._committed(lambda table: _append_events(table, unique), with_events=True)

    def _committed(self, commit: Callable[[DeltaTable], int], *, with_events: bool) -> int:
        for _ in range(ATTEMPTS):
            try:
                self._create_where_absent()
                # Compared with the very version that the commit builds on: who loses a race compares again.
                with self._turn() if with_events else nullcontext(), self.kept():
                    self._update()
                    return commit(DeltaTable(self._path))
            except CommitFailedError:
                continue
            # A full disk, a folder that may not be written: nothing was committed, and the rows are not at fault.
            except (OSError, DeltaError) as error:
                raise StoreUnavailable(f"history {self._path} cannot be written: {error}") from error
        raise StoreUnavailable(
            f"history {self._path}: lost {ATTEMPTS} commits in a row to other writers; run fewer of them"
        )

    def expire(self, trades: timedelta, others: timedelta) -> int:
        """Takes out purchases and refunds, and all other events, that are so much older than the newest row.

        Returns how many rows. Counted from the newest and not from now, so that an old data set stays whole. Raises
        StoreUnavailable.
        """
        old = expired(self.scan(), trades, others)
        return 0 if old is None else self._committed(lambda table: _deleted(table, old), with_events=True)

    def compact(self) -> int:
        """Join small files, drop those replaced a day ago; returns how many were joined. Appends go on."""
        if self._existing() is None:
            return 0
        try:
            with self.kept():
                self._update()
                table = DeltaTable(self._path)
                joined = table.optimize.compact(target_size=COMPACT_TARGET_BYTES)
                # deltalake refuses to delete files younger than a week unless this check is off.
                table.vacuum(retention_hours=VACUUM_AFTER_H, dry_run=False, enforce_retention_duration=False)
        except CommitFailedError:
            # Another compaction came first; the table is compact either way.
            return 0
        return int(joined["numFilesRemoved"])

    @contextmanager
    def kept(self) -> Iterator[None]:
        """No file is deleted because of an erasure meanwhile, which waits: for those who read for long, or write."""
        if not self._path.exists():
            yield
            return
        with shared_turn(self._path / FILES_LOCK):
            yield

    def of_person(self, keys: PersonKeys) -> pl.DataFrame:
        """Every row of the person, with `SCHEMA`, the oldest first. Costs reading what it finds them by."""
        return self.scan().filter(is_theirs(keys)).collect(engine="streaming").sort(TIME, ROW_ID)

    def erase(self, keys: PersonKeys) -> int:
        """Takes every row of the person out and returns how many; no file of the table has a byte of them then.

        Other customers' rows lose the person's anonymous ids. What was derived sees that rows were taken out, as after
        an import that was taken back. Waits at its end for those who write or have the files `kept`. Cut off at any
        point, and called again, it ends the same. Raises StoreUnavailable when the disk does not take it.
        """
        if self._existing() is None:
            return 0
        try:
            with turn(self._path / ERASURE_LOCK):
                self._updated()
                # While others write; what they made impossible, or added meanwhile, goes once they have ended.
                count = remove_rows(self._path, keys, _as_removal)
                with turn(self._path / FILES_LOCK):
                    count += remove_rows(self._path, keys, _as_removal)
                    drop_old_files(self._path, keys)
                    forget_values(self._path, STATISTICS)
                return count
        except (OSError, DeltaError, pl.exceptions.PolarsError) as error:
            raise StoreUnavailable(f"history {self._path}: nobody can be erased ({error}); call it again") from error

    def _existing(self) -> DeltaTable | None:
        return DeltaTable(self._path) if DeltaTable.is_deltatable(str(self._path)) else None

    def _create_where_absent(self) -> None:
        if self._existing() is None:
            _create(self._path)

    def _updated(self) -> None:
        for _ in range(ATTEMPTS):
            with suppress(CommitFailedError):
                return self._update()
        raise StoreUnavailable(f"history {self._path}: lost {ATTEMPTS} commits in a row; run fewer writers")

    def _update(self) -> None:
        """A table of an earlier version gets what it lacks."""
        table = DeltaTable(self._path)
        if _lacks_import_id(table):
            table.alter.add_columns([Field(IMPORT_ID, PrimitiveType("string"))])
        if KEPT.items() - table.metadata().configuration.items():
            table.alter.set_table_properties(KEPT)

    def _turn(self) -> AbstractContextManager[None]:
        """One writer of events after the other: a file of millions would lose every race against a busy worker."""
        return turn(self._path / LOCK)

    def _counted(self, name: str) -> str | None:
        table = self._existing()
        return None if table is None else f"{table.metadata().id}-{_version(table, name)}"


def _rows(table: DeltaTable) -> pl.LazyFrame:
    rows = pl.scan_delta(table)
    if _lacks_import_id(table):
        rows = rows.with_columns(pl.lit(None, SCHEMA[IMPORT_ID]).alias(IMPORT_ID))
    return rows.select(SCHEMA.names())


def _lacks_import_id(table: DeltaTable) -> bool:
    return all(field.name != IMPORT_ID for field in table.schema().fields)


def _create(path: Path) -> None:
    """An empty table at `path`, made aside and moved in: two creations in place write metadata twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as aside:
        made = Path(aside) / path.name
        DeltaTable.create(
            made, schema=pl.DataFrame(schema=SCHEMA).to_arrow().schema, name="history", configuration=KEPT
        )
        # Refused when somebody else's table is already there, which serves as well.
        with suppress(OSError):
            made.rename(path)


def _one_per_id(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(SCHEMA.names()).cast(SCHEMA).unique(ROW_ID, keep="first", maintain_order=True)


def _absent(rows: pl.DataFrame, files: Sequence[str]) -> pl.DataFrame:
    """The rows whose id no file holds; memory follows `rows`, not the table."""
    return rows.join(_stored(rows, files), on=ROW_ID, how="anti", maintain_order="left")


def _stored(rows: pl.DataFrame, files: Sequence[str], *, source: str | None = None) -> pl.DataFrame:
    """Id and import of those of the rows that the files hold."""
    schema = {name: SCHEMA[name] for name in (ROW_ID, SOURCE, IMPORT_ID)}
    if not files:
        return pl.DataFrame(schema=schema).select(ROW_ID, IMPORT_ID)
    stored = pl.scan_parquet(list(files), schema=schema, missing_columns="insert", extra_columns="ignore")
    if source is not None:
        stored = stored.filter(pl.col(SOURCE) == source)
    ids = rows.lazy().select(ROW_ID)
    return stored.select(ROW_ID, IMPORT_ID).join(ids, on=ROW_ID, how="semi").collect(engine="streaming")


def _version(table: DeltaTable, transaction: str) -> int:
    return int(table.transaction_version(transaction) or 0)


def _state_of(import_id: str) -> str:
    return f"import:{import_id}"  # An odd version of this application transaction says that it is applied.


def _append(table: DeltaTable, batches: Iterable[pl.DataFrame], names: Sequence[str], *, of: str | None = None) -> int:
    """One commit on top of the very version that `table` was read at, or none when there is nothing to say.

    The application transactions `names` move by one, so a second writer of such a name who read the same version
    fails with CommitFailedError; writers of different names do not disturb each other.
    """
    filled = (batch for batch in batches if not batch.is_empty())
    first = next(filled, None)
    moved = {} if of is None else _moved(table, {of: True})
    if first is not None:
        moved |= _counted_up(table, names)
    if not moved:
        return 0
    count = 0

    def counted() -> Iterator[pl.DataFrame]:
        nonlocal count
        for batch in chain([] if first is None else [first], filled):
            count += batch.height
            yield batch if of is None else batch.with_columns(pl.lit(of).alias(IMPORT_ID))

    _write(table, counted(), moved)
    return count


def _append_events(table: DeltaTable, rows: pl.DataFrame) -> int:
    """Those that a file brought before belong to the API from now on: taking the file back must not take them."""
    stored = _stored(rows, table.file_uris(), source=FROM_EVENT)
    absent = rows.join(stored, on=ROW_ID, how="anti", maintain_order="left")
    by_file = stored.filter(pl.col(IMPORT_ID).is_not_null())
    if by_file.is_empty():
        return _append(table, [absent], (EVENTS,))
    ids = pl.concat([by_file[ROW_ID], absent[ROW_ID]])
    with_them = rows.filter(pl.col(ROW_ID).is_in(ids.implode()))
    _write(table, [with_them], _counted_up(table, (EVENTS,)), in_place_of=_any_of(ROW_ID, ids))
    return absent.height


def _replace(table: DeltaTable, replacement: Replacement, names: Sequence[str], *, states: Mapping[str, bool]) -> int:
    gone = _any_of(IMPORT_ID, [*replacement.imports, *states])
    _write(table, replacement.rows, _counted_up(table, names) | _moved(table, states), in_place_of=gone)
    return 0


def _as_removal(table: DeltaTable) -> dict[str, int]:
    return _counted_up(table, (IMPORTS, REMOVALS, EVENTS))


def _counted_up(table: DeltaTable, names: Iterable[str]) -> dict[str, int]:
    return {name: _version(table, name) + 1 for name in names}


def _moved(table: DeltaTable, states: Mapping[str, bool]) -> dict[str, int]:
    now = {_state_of(one): (_version(table, _state_of(one)), applied) for one, applied in states.items()}
    return {name: version + 1 for name, (version, applied) in now.items() if version % 2 != applied}


def _any_of(column: str, values: Iterable[str]) -> str:
    texts = ["'" + value.replace("'", "''") + "'" for value in values]
    return f"{column} in ({', '.join(texts)})"


def _write(
    table: DeltaTable, rows: Iterable[pl.DataFrame], moved: Mapping[str, int], *, in_place_of: str | None = None
) -> None:
    write_deltalake(
        table,
        _arrow_stream(rows),
        mode="append" if in_place_of is None else "overwrite",
        predicate=in_place_of,
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1, max_row_group_size=ROW_GROUP_ROWS),
        commit_properties=CommitProperties(
            app_transactions=[Transaction(name, version) for name, version in moved.items()]
        ),
    )


def _arrow_stream(batches: Iterable[pl.DataFrame]) -> pa.RecordBatchReader:
    schema = pl.DataFrame(schema=SCHEMA).to_arrow().schema
    arrow = (part for batch in batches for part in batch.select(SCHEMA.names()).cast(SCHEMA).to_arrow().to_batches())
    return pa.RecordBatchReader.from_batches(schema, arrow)


def _deleted(table: DeltaTable, predicate: str) -> int:
    """Deletes rows in a commit that counts as a removal, where there are any."""
    transactions = [Transaction(name, version) for name, version in _as_removal(table).items()]
    found = table.delete(predicate, commit_properties=CommitProperties(app_transactions=transactions))
    return int(found["num_deleted_rows"])
