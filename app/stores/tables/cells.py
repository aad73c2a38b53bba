"""What the API writes into a layered table: calls that wait are joined into one rewrite, off the event loop."""

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import BadInput, EndcapError, Missing, StoreUnavailable

if TYPE_CHECKING:
    import polars as pl

    from app.stores.tables.layers import LayeredTable

Cells = Mapping[str, str | int | None]
"""One row: its key, and the columns that it sets; None clears one."""

REWRITE_EVERY_S = 1.0
"""Every rewrite has all servers apply the table to their bundle, 0.2 s of computing each for 92,000 products."""
MAX_WAITING_CALLS = 100
MAX_COLUMNS = 300


class NotInTable(Missing):
    """The table has no such row; the caller knows what that is."""


@dataclass(frozen=True, slots=True)
class Change:
    """Rows of one call, all or none of them; `must_exist` where it makes no new ones."""

    rows: Sequence[Cells]
    must_exist: bool = False


class CellWriter:
    """One process's writer of one table; others may write as well, in turns.

    What it needs costs 0.2 s and 25 MB, and is loaded with the first call only.
    """

    def __init__(self, tables_dir: Path, name: str, *, every_s: float = REWRITE_EVERY_S) -> None:
        self._tables_dir = tables_dir
        self._name = name
        self._every_s = every_s
        self._waiting: list[tuple[Change, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def put(self, change: Change) -> None:
        """Returns once the change is on disk.

        Raises BadInput for too many columns, NotInTable, and StoreUnavailable when the disk, or the queue, is full.
        """
        if len(self._waiting) >= MAX_WAITING_CALLS:
            raise StoreUnavailable(
                f"{MAX_WAITING_CALLS} calls wait for {self._name} to be written; send larger batches"
            )
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_waiting(), name=f"{self._name} cells")
        await done

    def find(self, key: str) -> Mapping[str, object] | None:
        """The row of this key as it is stored; None without one."""
        import polars as pl

        table = self._table()
        try:
            # In one piece, because another file may take its place between two reads.
            stored = pl.read_parquet(io.BytesIO(table.path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreUnavailable(f"{table.path} cannot be read ({error!r})") from error
        rows = stored.filter(pl.col(table.kind.key) == key)
        return rows.row(0, named=True) if rows.height else None

    async def aclose(self) -> None:
        """Ends what runs between two calls."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            outcomes: Sequence[Exception | None]
            try:
                outcomes = await asyncio.to_thread(self._write, [change for change, _ in batch])
            except Exception as error:  # noqa: BLE001 - the border of the task: each caller gets what was raised
                outcomes = [error] * len(batch)
            for (_, done), outcome in zip(batch, outcomes, strict=True):
                # A caller that hung up waits no more.
                if done.done():
                    continue
                if outcome is None:
                    done.set_result(None)
                else:
                    done.set_exception(outcome)
            await asyncio.sleep(self._every_s)

    def _write(self, changes: Sequence[Change]) -> list[EndcapError | None]:
        """One rewrite; of each change why it is none, if so."""
        import polars as pl

        table = self._table()
        try:
            with table.held():
                rows: dict[str, Cells] = {}
                stored = table.stored()
                columns, keys = set(stored.columns), set(stored[table.kind.key])
                outcomes = [_taken(change, rows, columns, keys, key=table.kind.key) for change in changes]
                if rows:
                    table.put_cells(_frame(rows, table.kind.key), now=datetime.now(UTC))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreUnavailable(f"{table.path} cannot be written ({error!r})") from error
        return outcomes

    def _table(self) -> "LayeredTable":
        from app.stores.tables.layers import REFERENCE_TABLES, LayeredTable

        kind = REFERENCE_TABLES[self._name]
        return LayeredTable(self._tables_dir, kind)


def _taken(
    change: Change, rows: dict[str, Cells], columns: set[str], keys: set[str], *, key: str
) -> EndcapError | None:
    """Adds the change to the rows to be written, or says why not."""
    named = [str(row[key]) for row in change.rows]
    if change.must_exist and not keys.issuperset(named):
        return NotInTable(f"{key} {next(one for one in named if one not in keys)!r} is not in the table")
    wider = columns.union(*change.rows)
    if len(wider) > max(MAX_COLUMNS, len(columns)):
        return BadInput(f"the table would have {len(wider)} columns, at most are {MAX_COLUMNS}; use fewer attributes")
    columns |= wider
    keys.update(named)
    for name, row in zip(named, change.rows, strict=True):
        rows[name] = {**rows.get(name, {}), **row}
    return None


def _frame(rows: Mapping[str, Cells], key: str) -> "pl.DataFrame":
    import polars as pl

    from app.stores.tables.layers import GIVEN

    names = [key, *sorted({name for row in rows.values() for name in row if name != key})]
    schema = {name: pl.Int64 if name.endswith("_minor") else pl.String for name in names}
    frame = pl.DataFrame([[row.get(name) for name in names] for row in rows.values()], schema=schema, orient="row")
    given = [[name for name in row if name != key] for row in rows.values()]
    return frame.with_columns(pl.Series(GIVEN, given, pl.List(pl.String)))
