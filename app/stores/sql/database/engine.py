"""The SQL database of everything that is money: SQLite embedded or PostgreSQL, one transaction at a time each."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from threading import Lock
from time import monotonic, sleep
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.types import DateTime, TypeDecorator

from app.errors import BadSetting, StoreUnavailable

T = TypeVar("T")
Transaction = Connection
"""What work on the ledger is handed: callers outside the stores name it without importing SQLAlchemy."""

BUSY_TIMEOUT_S = 10
"""So long a transaction waits for those before it."""
# Longer than BUSY_TIMEOUT_S, so that a transaction whose lock wait ran out is tried once more.
GIVE_UP_S = 15.0
UNREACHABLE_S = 2.0
"""So long a database that cannot be reached is tried again: a restart of PostgreSQL takes about as long."""
FIRST_RETRY_S, LAST_RETRY_S = 0.01, 0.2
IS_WRITE = "endcap_is_write"
TRANSIENT = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03"})
"""PostgreSQL's states after which the same transaction may succeed: serialization, deadlock, lock wait, restart."""

_log = logging.getLogger(__name__)


class Instant(TypeDecorator[datetime]):
    """An aware instant in UTC; SQLite, which knows no zones, keeps it as text in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Called by SQLAlchemy on the way in."""
        if value is None:
            return None
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Called by SQLAlchemy on the way out."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Ledger:
    """Runs work in transactions; several processes may share one database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # SQLite lets one writer in and makes the others poll; a queue per process is fairer and cheaper.
        self._turn: AbstractContextManager[Any] = Lock() if engine.dialect.name == "sqlite" else nullcontext()

    def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, its changes safe on disk; none of them are when it raises.

        `work` runs again after a deadlock or a lost connection, so it must do nothing but SQL. Raises StoreUnavailable
        when the database cannot be had: then nothing is known to have happened, and the same call is safe again where
        it carries an idempotency key.
        """
        return self._run(work, is_write=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns from one consistent snapshot, without any lock; raises StoreUnavailable."""
        return self._run(work, is_write=False)

    def _run(self, work: Callable[[Connection], T], *, is_write: bool) -> T:
        begun, pause_s = monotonic(), FIRST_RETRY_S
        while True:
            try:
                return self._attempt(work, is_write=is_write)
            # The pool has waited its own 30 seconds by then, and SQLAlchemy's pool timeout is no DBAPIError.
            except NoConnectionLeft as error:
                raise StoreUnavailable("the ledger has no connection to spare; try again") from error
            except DBAPIError as error:
                patience_s = _patience_s(error)
                if patience_s is None:
                    raise
                if monotonic() - begun >= patience_s:
                    raise StoreUnavailable(f"the ledger cannot be used ({error.orig}); try again") from error
                _log.info("ledger transaction tried again", extra={"detail": str(error.orig)})
                sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_RETRY_S)

    def _attempt(self, work: Callable[[Connection], T], *, is_write: bool) -> T:
        turn = self._turn if is_write else nullcontext()
        with turn, self.engine.connect() as connection:
            options: dict[str, Any] = {IS_WRITE: is_write}
            if not is_write and self.engine.dialect.name == "postgresql":
                # PostgreSQL's default, READ COMMITTED, takes a new snapshot for each statement. Writes stay there: the
                # guard in a WHERE is then checked again on the row as it is once its lock was waited for.
                options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            connection = connection.execution_options(**options)
            with connection.begin():
                return work(connection)

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def open_ledger(url: str) -> Ledger:
    """The ledger at an SQLAlchemy address (sqlite:///… or postgresql://…), connected on first use.

    Raises BadSetting for any other kind of address.
    """
    if url.startswith("sqlite:///"):
        # The pool hands a connection to whichever thread comes next; SQLite's driver refuses that unless it is allowed.
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif url.startswith(("postgresql://", "postgres://")):
        address = "postgresql+psycopg://" + url.split("://", 1)[1]
        # By default PostgreSQL waits for a lock without end.
        options = f"-c lock_timeout={BUSY_TIMEOUT_S * 1000} -c timezone=UTC"
        # A restart of PostgreSQL leaves dead connections in the pool: the ping finds them before any work begins.
        engine = create_engine(
            address, pool_size=10, max_overflow=30, pool_pre_ping=True,
            connect_args={"options": options, "connect_timeout": BUSY_TIMEOUT_S},
        )  # fmt: skip
    else:
        raise BadSetting("the ledger's address must start with sqlite:/// or postgresql://; see docs/settings.md")
    return Ledger(engine)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Python's driver would begin transactions by itself, and too late.
    connection.isolation_level = None
    # Under WAL readers and the writer do not block each other, but anything below synchronous=FULL may lose the last
    # commits in a power cut. SQLite checks foreign keys only on connections that turn them on.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    is_write = connection.get_execution_options().get(IS_WRITE, True)
    # A plain BEGIN takes the write lock with the first change only, and where somebody wrote since the first read
    # SQLite then fails at once, whatever the timeout.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _patience_s(error: DBAPIError) -> float | None:
    """How long the same transaction is worth trying again: not at all on a full disk; None for a mistake of ours."""
    # SQLite's errors carry no SQLSTATE, so its words must do.
    if getattr(error.orig, "sqlstate", None) in TRANSIENT or "database is locked" in str(error.orig):
        return GIVE_UP_S
    # A connection that was never made is not invalidated, and psycopg says so only in words.
    if error.connection_invalidated or "connection" in str(error.orig):
        return UNREACHABLE_S
    return 0.0 if isinstance(error, OperationalError) else None
