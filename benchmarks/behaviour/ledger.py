"""Every table of the ledger, row by row, in stable names and an order that random ids do not decide."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.behaviour.stable import INSTANT, RECENT, StableNames

TRANSIENT = frozenset({"projection_queue", "sqlite_sequence"})
"""Tables that are emptied by and by, at no time in particular."""
MANY_ROWS = 10_000
FIRST = 3


def read_ledger(path: Path, names: StableNames) -> dict[str, Any]:
    """The rows of each table; of one with many rows, as imports leave them, a digest of each column."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        tables = [name for (name,) in connection.execute(query) if name not in TRANSIENT]
        return {table: _table(list(_rows(connection, table)), names) for table in tables}


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    # The table's name comes from the database itself.
    cursor = connection.execute(f'SELECT * FROM "{table}"')
    columns = [column[0] for column in cursor.description]
    for row in cursor:
        yield {name: _parsed(value) for name, value in zip(columns, row, strict=True)}


def _parsed(value: Any) -> Any:
    """JSON as what it says."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if isinstance(text, str) and text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _table(rows: Sequence[Mapping[str, Any]], names: StableNames) -> Any:
    with names.closed():
        ordered = sorted(rows, key=lambda row: json.dumps([*names.clean(row, now=_made_at(row)).values()]))
    cleaned = [names.clean(row, now=_made_at(row)) for row in ordered]
    if len(cleaned) <= MANY_ROWS:
        return cleaned
    columns = {name: _digest([row[name] for row in cleaned]) for name in cleaned[0]}
    return {"count": len(cleaned), "columns": columns, "first": cleaned[:FIRST]}


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _made_at(row: Mapping[str, Any]) -> datetime:
    """The earliest instant of this run in a row, which the others are offsets from."""
    now = datetime.now(UTC)
    texts = [value for value in row.values() if isinstance(value, str) and (at := INSTANT.match(value)) and at[2]]
    instants = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts]
    return min((instant for instant in instants if abs(instant - now) < RECENT), default=now)
