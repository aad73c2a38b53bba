"""What the database's files still hold of rows that are gone: written over, as far as the database's tools can."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy.exc import DBAPIError

from app.errors import StoreUnavailable
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import metadata

VACUUM_UP_TO_BYTES = 64 * 2**20
"""A larger file is rewritten only for who asks for it: that takes 1.9 s for each 100 MB (two cores, 2026), in which
nobody writes, and a till is refused after 2 s. At Christmas a retailer rather waits for the night: the erased rows are
gone for everybody, and what is left of a few of their bytes only who has the file itself can see. Readers never wait.
"""
SHORTEST_BYTES = 8
"""What is shorter stands in any large file by chance."""
CHECKPOINT_WAIT_MS = 100
"""So short a checkpoint waits for readers, as nobody writes meanwhile; then it is tried again."""
PAUSE_S = 0.2
PIECE_BYTES = 2**20
"""Other threads of this process stand still for the milliseconds that one piece takes."""
SUFFIXES = ("", "-wal")
"""The database and its log; `-shm`, the third file, holds page numbers and nothing of a row."""

_log = logging.getLogger(__name__)


def flush_ledger(
    ledger: Ledger,
    texts: Collection[str],
    *,
    timeout_s: float,
    vacuum_up_to_bytes: float = VACUUM_UP_TO_BYTES,
) -> bool:
    """True once no byte of these texts is in an SQLite ledger's files, which an erasure has taken out of its rows.

    False where the file would have to be rewritten and is too large for that now: call it again in a quiet hour with
    `vacuum_up_to_bytes=math.inf`, once for all erasures of the day. Rows deleted since Endcap turned `secure_delete` on
    leave nothing but, now and then, a copy of a row that once moved between pages; rows deleted before leave all.
    Texts of less than SHORTEST_BYTES cannot be looked for, so with them the file is always rewritten. To look for
    one text takes 0.3 s for each 100 MB, without any lock: give the ids, and not every code and order.

    Of PostgreSQL the tables are vacuumed, and True says that alone: the space of dead rows is free then, and written
    over by the next ones. Not covered: that space until then, its log (WAL) and archives of it, copies on replicas and
    in backups. Of both not covered: blocks of the disk that the file system has given back, and the database's
    temporary files. Raises StoreUnavailable where a reader does not end within `timeout_s`; then it is safe to call
    again.
    """
    if ledger.engine.dialect.name == "postgresql":
        _vacuum_postgresql(ledger)
        return True
    file = Path(str(ledger.engine.url.database))
    deadline = monotonic() + timeout_s
    _checkpoint(ledger, deadline)
    needles = [text.encode() for text in texts]
    if all(len(needle) >= SHORTEST_BYTES for needle in needles) and not _stand_in(file, needles):
        return True
    if file.stat().st_size > vacuum_up_to_bytes:
        _log.info("ledger holds bytes of erased rows until it is vacuumed", extra={"bytes": file.stat().st_size})
        return False
    # From the rows as they are: whatever stands in the file afterwards is in a row, and of somebody else by chance.
    with _own_connection(ledger) as connection:
        connection.execute("VACUUM")
    _checkpoint(ledger, deadline)
    return True


def _checkpoint(ledger: Ledger, deadline: float) -> None:
    """Moves everything from the log to the database, and leaves no byte in the log."""
    with _own_connection(ledger) as connection:
        connection.execute(f"PRAGMA busy_timeout={CHECKPOINT_WAIT_MS}")
        while True:
            # Locked: another connection checkpoints just now.
            is_busy = True
            with suppress(DBAPIError, _driver_error(ledger)):
                is_busy = bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
            if not is_busy:
                return
            if monotonic() >= deadline:
                raise StoreUnavailable("somebody reads the ledger for long, so its log stays as it is; try again later")
            sleep(PAUSE_S)


@contextmanager
def _own_connection(ledger: Ledger) -> Iterator[Any]:
    """The driver's connection, outside of any transaction, which nobody uses afterwards."""
    pooled = ledger.engine.raw_connection()
    try:
        yield pooled.driver_connection
    except _driver_error(ledger) as error:
        raise StoreUnavailable(f"the ledger cannot be rewritten ({error}); try again later") from error
    finally:
        pooled.invalidate()


def _driver_error(ledger: Ledger) -> type[Exception]:
    driver: Any = ledger.engine.dialect.loaded_dbapi
    error: type[Exception] = driver.OperationalError
    return error


def _stand_in(file: Path, needles: Collection[bytes]) -> bool:
    return any(_stands_in(Path(f"{file}{suffix}"), needles) for suffix in SUFFIXES)


def _stands_in(file: Path, needles: Collection[bytes]) -> bool:
    if not file.exists():
        return False
    # One that begins in one piece and ends in the next is found in the second.
    overlap = max(map(len, needles), default=1) - 1
    carried = b""
    with file.open("rb", buffering=0) as opened:
        while piece := opened.read(PIECE_BYTES):
            window = carried + piece
            if any(needle in window for needle in needles):
                return True
            carried = window[len(window) - overlap :]
    return False


def _vacuum_postgresql(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        outside = connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            for table in metadata.sorted_tables:
                outside.exec_driver_sql(f"VACUUM {table.name}")
        except DBAPIError as error:
            raise StoreUnavailable(f"the ledger cannot be vacuumed ({error.orig}); try again later") from error
        finally:
            connection.invalidate()
