"""What the database holds of one person, as documents: a copy of everything that an erasure would take or change."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping

from app.domain import JsonObject
from app.stores.sql.database.tables import idempotency
from app.stores.sql.erasure.located import Located, locate_in
from app.stores.sql.erasure.names import quoted
from app.stores.sql.erasure.traces import Traces, body_of, traces_of


def find_in_sql(
    connection: Connection, keys: Collection[str], *, now: datetime, located: Located | None = None
) -> dict[str, list[JsonObject]]:
    """By table the rows of whoever has these keys, with all of their columns; tables without any are left out.

    Of a stored response only what names the person: it may be about others, too.
    """
    traces = traces_of(connection, keys, located or locate_in(connection, keys, now=now))
    return {
        str(table): [_record(row, traces) if table == idempotency.name else _document(row) for row in rows]
        for table, rows in sorted(traces.rows.items())
        if rows
    }


def _document(row: RowMapping) -> JsonObject:
    return {str(name): _plain(value) for name, value in row.items()}


def _record(row: RowMapping, traces: Traces) -> JsonObject:
    kept = {name: _plain(row[name]) for name in ("client", "key", "status", "created_at")}
    return kept | {"names": sorted(set(quoted(body_of(row), traces.names)))}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
