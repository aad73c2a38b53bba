"""Every transaction and event, once: the Delta table that imports and the worker write and training reads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from app.domain import Event
from app.errors import StoreUnavailable

ROW_ID = "row_id"
SOURCE = "source"
TYPE = "type"
TIME = "time"
CUSTOMER_ID = "customer_id"
ANONYMOUS_ID = "anonymous_id"
PRODUCT_ID = "product_id"
BASKET_ID = "basket_id"
QUANTITY = "quantity"
AMOUNT_MINOR = "amount_minor"
CURRENCY = "currency"
STORE_ID = "store_id"
CHANNEL = "channel"
DISCOUNT_MINOR = "discount_minor"
COUPON_ID = "coupon_id"
SESSION_ID = "session_id"
DECISION_ID = "decision_id"

FROM_IMPORT = "import"
FROM_EVENT = "event"

SCHEMA = pl.Schema(
    {
        ROW_ID: pl.String(),
        SOURCE: pl.String(),
        TYPE: pl.String(),
        TIME: pl.Datetime("us", "UTC"),
        CUSTOMER_ID: pl.String(),
        ANONYMOUS_ID: pl.String(),
        PRODUCT_ID: pl.String(),
        BASKET_ID: pl.String(),
        QUANTITY: pl.Float32(),
        AMOUNT_MINOR: pl.Int64(),
        CURRENCY: pl.String(),
        STORE_ID: pl.String(),
        CHANNEL: pl.String(),
        DISCOUNT_MINOR: pl.Int64(),
        COUPON_ID: pl.String(),
        SESSION_ID: pl.String(),
        DECISION_ID: pl.String(),
    }
)

EVENTS = "events"
IMPORTS = "imports"

# One of n writers wins every round, so n - 1 defeats are the worst; nobody runs as many writers as this.
ATTEMPTS = 50
# Compaction leaves files above this alone, so a large import is never rewritten for the sake of a few events.
COMPACT_TARGET_BYTES = 32 * 2**20
# What the writer holds in memory at a time.
ROW_GROUP_ROWS = 131_072
# A reader that planned its scan before a compaction still finds its files for this long.
VACUUM_AFTER_H = 24
KEPT = {
    "delta.logRetentionDuration": "interval 6 hours",
    # Longer than a vacuum waits, which finds by these entries what it may delete.
    "delta.deletedFileRetentionDuration": "interval 26 hours",
}
"""Each commit reads what the log keeps of those before, 16 µs for each: Delta's own 30 days would make it seconds."""

AbsentRows = Callable[[Sequence[str]], Iterable[pl.DataFrame]]
"""Gives, in batches, the rows whose row_id is in none of these files; called again after a lost race."""


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
        """Changes with every import that adds a row and with nothing else; None when there is no table."""
        table = self._existing()
        return None if table is None else f"{table.metadata().id}-{_transaction(table, IMPORTS)}"

    def append_new(self, rows: pl.DataFrame) -> int:
        """Add those `rows` whose row_id is new; returns how many. Costs one read of the table's row ids."""
        unique = _one_per_id(rows)
        return self.append_absent(lambda files: [_absent(unique, files)])

    def append_absent(self, absent: AbsentRows) -> int:
        """Add what `absent` gives in one commit, all or nothing, in bounded memory; returns how many rows.

        Raises StoreUnavailable when the disk does not take them.
        """
        return self._append(absent, name=IMPORTS)

    def append_events(self, rows: pl.DataFrame) -> int:
        """Add those event rows that the table lacks; returns how many. Redelivery and other writers do no harm.

        Raises StoreUnavailable when the disk does not take them.

        Costs one read of the ids of all event rows: 30 ms for a batch of 2,000 on a table of 2 M events.
        """
        unique = _one_per_id(rows)
        if unique.is_empty():
            return 0
        return self._append(lambda files: [_absent(unique, files, source=FROM_EVENT)], name=EVENTS)

    def _append(self, absent: AbsentRows, *, name: str) -> int:
        for _ in range(ATTEMPTS):
            try:
                table = self._opened()
                # Compared with the very version that the commit builds on: who loses a race compares again.
                return _commit(table, absent(table.file_uris()), name=name)
            except CommitFailedError:
                continue
            # A full disk, a folder that may not be written: nothing was committed, and the rows are not at fault.
            except (OSError, DeltaError) as error:
                raise StoreUnavailable(f"history {self._path} cannot be written: {error}") from error
        raise StoreUnavailable(
            f"history {self._path}: lost {ATTEMPTS} commits in a row to other writers; run fewer of them"
        )

    def compact(self) -> int:
        """Join small files, drop those replaced a day ago; returns how many were joined. Appends go on."""
        table = self._existing()
        if table is None:
            return 0
        try:
            if KEPT.items() - table.metadata().configuration.items():
                table.alter.set_table_properties(KEPT)
            joined = table.optimize.compact(target_size=COMPACT_TARGET_BYTES)
            # deltalake refuses to delete files younger than a week unless this check is off.
            table.vacuum(retention_hours=VACUUM_AFTER_H, dry_run=False, enforce_retention_duration=False)
        except CommitFailedError:
            # Another compaction came first; the table is compact either way.
            return 0
        return int(joined["numFilesRemoved"])

    def _existing(self) -> DeltaTable | None:
        return DeltaTable(self._path) if DeltaTable.is_deltatable(str(self._path)) else None

    def _opened(self) -> DeltaTable:
        if not DeltaTable.is_deltatable(str(self._path)):
            _create(self._path)
        return DeltaTable(self._path)


def _rows(table: DeltaTable) -> pl.LazyFrame:
    return pl.scan_delta(table).select(SCHEMA.names())


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


def event_row(event: Event) -> dict[str, object]:
    """The event as one history row with the columns of `SCHEMA`; its row_id is the event's key."""
    return {
        ROW_ID: event.key,
        SOURCE: FROM_EVENT,
        TYPE: event.type,
        TIME: event.time.astimezone(UTC),
        CUSTOMER_ID: event.customer_id,
        ANONYMOUS_ID: event.anonymous_id,
        PRODUCT_ID: event.product_id,
        BASKET_ID: event.basket_id,
        QUANTITY: event.quantity,
        AMOUNT_MINOR: event.amount_minor,
        CURRENCY: event.currency,
        STORE_ID: event.store_id,
        CHANNEL: event.channel,
        DISCOUNT_MINOR: None,
        COUPON_ID: None,
        SESSION_ID: event.session_id,
        DECISION_ID: event.decision_id,
    }


def event_rows(events: Iterable[Event]) -> pl.DataFrame:
    """The events as history rows with `SCHEMA`, in their order."""
    return pl.DataFrame([event_row(event) for event in events], schema=SCHEMA, orient="row")


def _one_per_id(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(SCHEMA.names()).cast(SCHEMA).unique(ROW_ID, keep="first", maintain_order=True)


def _absent(rows: pl.DataFrame, files: Sequence[str], *, source: str | None = None) -> pl.DataFrame:
    """The rows whose id no file holds; memory follows `rows`, not the table."""
    if not files:
        return rows
    stored = pl.scan_parquet(list(files))
    if source is not None:
        stored = stored.filter(pl.col(SOURCE) == source)
    ids = rows.lazy().select(ROW_ID)
    known = stored.select(ROW_ID).join(ids, on=ROW_ID, how="semi").collect(engine="streaming")
    return rows.join(known, on=ROW_ID, how="anti", maintain_order="left")


def _transaction(table: DeltaTable, name: str) -> int:
    return int(table.transaction_version(name) or 0)


def _commit(table: DeltaTable, batches: Iterable[pl.DataFrame], *, name: str) -> int:
    """One commit on top of the very version that `table` was read at, or none when there is no row.

    The application transaction `name` moves by one, so a second writer of that name who read the same version
    fails with CommitFailedError; writers of different names do not disturb each other.
    """
    filled = (batch for batch in batches if not batch.is_empty())
    first = next(filled, None)
    if first is None:
        return 0
    count = _Count()
    write_deltalake(
        table,
        _arrow_stream(count.each(chain([first], filled))),
        mode="append",
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1, max_row_group_size=ROW_GROUP_ROWS),
        commit_properties=CommitProperties(
            app_transactions=[Transaction(name, _transaction(table, name) + 1)],
        ),
    )
    return count.rows


class _Count:
    """How many rows went by."""

    def __init__(self) -> None:
        self.rows = 0

    def each(self, batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for batch in batches:
            self.rows += batch.height
            yield batch


def _arrow_stream(batches: Iterable[pl.DataFrame]) -> pa.RecordBatchReader:
    schema = pl.DataFrame(schema=SCHEMA).to_arrow().schema
    arrow = (part for batch in batches for part in batch.select(SCHEMA.names()).cast(SCHEMA).to_arrow().to_batches())
    return pa.RecordBatchReader.from_batches(schema, arrow)
