"""Which projections in Redis a transaction makes stale: noted in the same transaction, so that none is forgotten."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from app.stores.sql.database.tables import projection_queue

Insert = postgresql.Insert | sqlite.Insert


def insert(connection: Connection, table: Table) -> Insert:
    """An INSERT that may say ON CONFLICT, in the dialect of the connection's database, and returns its row count."""
    statement = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    # Without this SQLAlchemy answers -1 for a PostgreSQL that inserted nothing.
    return statement.execution_options(preserve_rowcount=True)


def enqueue(connection: Connection, subjects: Iterable[str], *, now: datetime) -> None:
    """Notes `customer:<id>` and `campaign:<id>`; in a stable order, so that no two transactions deadlock."""
    rows = [{"subject": subject, "queued_at": now} for subject in sorted(set(subjects))]
    if rows:
        statement = insert(connection, projection_queue)
        # A later instant keeps the entry where a sweep deletes what it read earlier.
        fresher = {"queued_at": statement.excluded.queued_at}
        connection.execute(statement.on_conflict_do_update(index_elements=["subject"], set_=fresher), rows)
