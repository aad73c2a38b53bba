"""What a database keeps of rows that were deleted, in its log and in free space: made to go, after an erasure."""

import logging
from time import monotonic, sleep
from typing import Any

from sqlalchemy.exc import DBAPIError

from app.errors import StoreUnavailable
from app.stores.sql.database.engine import Ledger

CLEAN = 1
"""`user_version` of an SQLite file in which no free space is from before `secure_delete`."""
TIMEOUT_S = 20.0
RETRY_S = 0.1

_log = logging.getLogger(__name__)


def drop_leftovers(ledger: Ledger) -> None:
    """After this no file of an SQLite ledger has a byte of a deleted row; raises StoreUnavailable where readers of long
    standing do not let it.

    On PostgreSQL the space is freed (VACUUM); until it is used again, deleted rows stay in its files, and in its log.
    """
    try:
        if ledger.engine.dialect.name == "sqlite":
            _empty_log(ledger)
        else:
            _alone(ledger, "VACUUM")
    except DBAPIError as error:
        raise StoreUnavailable(f"what was deleted cannot be dropped from the database: {error.orig}") from error


def _empty_log(ledger: Ledger) -> None:
    if _alone(ledger, "PRAGMA user_version")[0] < CLEAN:
        # Once in the life of a file, for what was freed before `secure_delete`: writers wait a second per 100 MB.
        _alone(ledger, "VACUUM")
        _alone(ledger, f"PRAGMA user_version = {CLEAN}")
    deadline = monotonic() + TIMEOUT_S
    while True:
        is_busy, *_ = _alone(ledger, "PRAGMA wal_checkpoint(TRUNCATE)")
        if not is_busy:
            return
        if monotonic() > deadline:
            raise StoreUnavailable("readers of the ledger keep its log from being emptied; it is tried again")
        sleep(RETRY_S)


def _alone(ledger: Ledger, statement: str) -> tuple[Any, ...]:
    """The first row of what a statement outside of any transaction gives."""
    with ledger.engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        if ledger.engine.dialect.name == "sqlite":
            return driver.execute(statement).fetchone() or ()
        autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
        autocommit.exec_driver_sql(statement)
        return ()
