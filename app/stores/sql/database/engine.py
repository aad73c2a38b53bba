"""The SQL database of everything that is money: SQLite embedded or PostgreSQL, one transaction at a time each."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import DateTime, TypeDecorator

from app.errors import BadSetting, StoreUnavailable
from app.stores.sql.database.clock import DatabaseClock, MachineClock
from app.stores.sql.database.deadline import Watchdog

T = TypeVar("T")
Transaction = Connection
"""What work on the ledger is handed: callers outside the stores name it without importing SQLAlchemy."""

PATIENCE_S = 15.0
"""So long a transaction waits for others, and is tried again where the database may come back."""
REFUSE_S = 1.0
"""So long nobody but one tries again once the database was away for one's whole patience."""
UNREACHABLE_S = 2.0
"""So long a database that cannot be reached is tried again: a restart of PostgreSQL takes about as long."""
FIRST_RETRY_S, LAST_RETRY_S = 0.01, 0.2
IS_WRITE, FILE = "endcap_is_write", "endcap_file"
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
    """Runs work in transactions; several processes may share one database.

    `limit_s`: so long one may take, waiting and trying again included; None for as long as its work takes.
    """

    def __init__(self, engine: Engine, *, limit_s: float | None = None) -> None:
        self.engine = engine
        self._patience_s = PATIENCE_S if limit_s is None else limit_s
        # SQLite lets one writer in and makes the others poll; a queue per process is fairer and cheaper.
        self._turn = Lock() if engine.dialect.name == "sqlite" else None
        self._watchdog = None if limit_s is None or engine.dialect.name == "sqlite" else Watchdog(limit_s=limit_s)
        self._clock = MachineClock() if engine.dialect.name == "sqlite" else DatabaseClock()
        self._refused_until = 0.0
        self._is_closed = False
        self._state = Lock()

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

    def now(self) -> datetime:
        """What time it is for all that is money: by the database's clock, which all processes share.

        Costs nothing. Raises StoreUnavailable as long as the database was never reached.
        """
        return self._clock.now()

    def _run(self, work: Callable[[Connection], T], *, is_write: bool) -> T:
        begun, pause_s = monotonic(), FIRST_RETRY_S
        self._refuse_while_away(begun)
        while True:
            try:
                result = self._attempt(work, is_write=is_write)
            # The pool has waited by then, and SQLAlchemy's pool timeout is no DBAPIError.
            except NoConnectionLeft as error:
                raise StoreUnavailable("the ledger has no connection to spare; try again") from error
            except DBAPIError as error:
                patience_s = _patience_s(error)
                if patience_s is None:
                    raise
                if monotonic() - begun >= min(patience_s, self._patience_s):
                    self._note_failure(error)
                    raise StoreUnavailable(f"the ledger cannot be used ({_words(error)}); try again") from error
                _log.info("ledger transaction tried again", extra={"detail": _words(error)})
                sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_RETRY_S)
            else:
                self._refused_until = 0.0
                return result

    def _refuse_while_away(self, now: float) -> None:
        """Raises StoreUnavailable at once while the database is away; one call after the other may try."""
        with self._state:
            if now < self._refused_until:
                raise StoreUnavailable("the ledger cannot be used: it was away a moment ago; try again")
            if self._refused_until:
                # This call tries; the others are refused until it knows.
                self._refused_until = now + self._patience_s + REFUSE_S

    def _note_failure(self, error: DBAPIError) -> None:
        with self._state:
            self._refused_until = monotonic() + REFUSE_S if _is_away(error) else 0.0

    def _attempt(self, work: Callable[[Connection], T], *, is_write: bool) -> T:
        turn = self._my_turn() if is_write and self._turn is not None else nullcontext()
        with turn, self.engine.connect() as connection, self._bounded(connection):
            options: dict[str, Any] = {IS_WRITE: is_write}
            if not is_write and self.engine.dialect.name == "postgresql":
                # PostgreSQL's default, READ COMMITTED, takes a new snapshot for each statement. Writes stay there: the
                # guard in a WHERE is then checked again on the row as it is once its lock was waited for.
                options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            connection = connection.execution_options(**options)
            try:
                with connection.begin():
                    self._clock.look(connection)
                    return work(connection)
            finally:
                # Its pool is gone by then: given back, the connection would stay open until somebody collects it.
                if self._is_closed and not connection.invalidated:
                    connection.detach()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        assert self._turn is not None
        if not self._turn.acquire(timeout=self._patience_s):
            raise StoreUnavailable("the ledger is busy with the writes of others; try again")
        try:
            yield
        finally:
            self._turn.release()

    def _bounded(self, connection: Connection) -> AbstractContextManager[None]:
        if self._watchdog is None:
            return nullcontext()
        driver: Any = connection.connection.dbapi_connection
        return self._watchdog.watching(driver.fileno())

    def close(self) -> None:
        """Closes every connection, those in use as soon as their work is done."""
        self._is_closed = True
        self.engine.dispose()


def open_ledger(url: str, *, limit_s: float | None = None) -> Ledger:
    """The ledger at an SQLAlchemy address (sqlite:///… or postgresql://…), connected on first use.

    Raises BadSetting for any other kind of address.
    """
    # hide_parameters: an error would repeat the values of its statement, customers and codes among them, in the log.
    if url.startswith("sqlite:///"):
        # The pool hands a connection to whichever thread comes next; SQLite's driver refuses that unless it is allowed.
        patience_s = PATIENCE_S if limit_s is None else limit_s
        engine = create_engine(
            url, connect_args={"timeout": patience_s, "check_same_thread": False}, hide_parameters=True
        )
        file = _FileAtPath(Path(url.removeprefix("sqlite:///")))
        event.listen(engine, "do_connect", file.note)
        event.listen(engine, "checkout", file.check)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif url.startswith(("postgresql://", "postgres://")):
        address = "postgresql+psycopg://" + url.split("://", 1)[1]
        engine = create_engine(
            address, hide_parameters=True, pool_size=10, max_overflow=30, pool_timeout=limit_s or PATIENCE_S,
            connect_args=_postgresql_bounds(limit_s),
        )  # fmt: skip
    else:
        raise BadSetting("the ledger's address must start with sqlite:/// or postgresql://; see docs/settings.md")
    return Ledger(engine, limit_s=limit_s)


def _postgresql_bounds(limit_s: float | None) -> dict[str, object]:
    """PostgreSQL waits without end by default: for a lock, a statement, a connection, a network that is gone."""
    limit_ms = int((limit_s or PATIENCE_S) * 1000)
    # 0 is PostgreSQL's word for no limit.
    statement_ms = 0 if limit_s is None else limit_ms
    return {
        "options": f"-c lock_timeout={limit_ms} -c statement_timeout={statement_ms} -c timezone=UTC",
        # In whole seconds, of which libpq takes 2 at least.
        "connect_timeout": max(2, limit_ms // 1000),
        "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": limit_ms,
    }  # fmt: skip


class _FileAtPath:
    """Holds connections to the file that is at the path now: an open one is written to wherever it was moved to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._was_there = False

    def note(self, _dialect: Dialect, record: ConnectionPoolEntry, _words: Any, _options: Any) -> None:
        """Called before a connection is made, which would make a file that is gone again, and empty."""
        identity = self._identity()
        if identity is None and self._was_there:
            raise sqlite3.OperationalError("the database file is gone: put it back")
        self._was_there |= identity is not None
        record.info[FILE] = identity

    def check(self, _connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        """Called before a connection is used; one to another file is closed, and made again."""
        if record.info[FILE] != self._identity():
            raise DisconnectionError("another file is at the path")

    def _identity(self) -> tuple[int, int] | None:
        try:
            facts = self._path.stat()
        except OSError:
            return None
        return facts.st_dev, facts.st_ino


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Python's driver would begin transactions by itself, and too late.
    connection.isolation_level = None
    # Under WAL readers and the writer do not block each other, but anything below synchronous=FULL may lose the last
    # commits in a power cut. SQLite checks foreign keys only on connections that turn them on.
    # What is deleted is written over with zeros, which most builds of SQLite do only on connections that turn it on: a
    # redemption took 19 to 24 ms with it, and 19 to 23 without.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
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
        return inf
    if _is_away(error):
        return UNREACHABLE_S
    return 0.0 if isinstance(error, OperationalError) or _is_damaged(error) else None


def _is_away(error: DBAPIError) -> bool:
    # A connection that was never made is not invalidated, and psycopg says so only in words.
    return error.connection_invalidated or "connection" in str(error.orig)


def _is_damaged(error: DBAPIError) -> bool:
    """True for an SQLite file that is none, or no whole one."""
    return any(words in str(error.orig) for words in ("file is not a database", "disk image is malformed"))


def _words(error: DBAPIError) -> str:
    words = " ".join(str(error.orig).split())
    return f"{words}: the file is damaged, restore it from a backup" if _is_damaged(error) else words
