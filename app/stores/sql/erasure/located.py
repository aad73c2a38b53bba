"""Rows of a person that no index leads to, looked for before anybody has to wait for the erasure.

A scan of a year's reservations takes a second or so: done in the transaction that erases it would hold up every till.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, String, Text, bindparam, cast, func, or_, select, text

from app.customers.identities import names_in_columns
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import (
    coupons,
    idempotency,
    receipt_lines,
    redemptions,
    reservations,
    rollbacks,
    uses,
)
from app.stores.sql.erasure.names import Names

LATE = timedelta(minutes=2)
"""A transaction that was under way during the scan carries an instant this much earlier at most."""
NEEDLES = 100

RecordKey = tuple[str, str]
"""Client and key of a record of `idempotency`."""


@dataclass(frozen=True, slots=True)
class Located:
    """What a scan found; `since`: rows from this instant on may have come after it."""

    since: datetime
    reservation_ids: tuple[str, ...] = ()
    receipt_ids: tuple[str, ...] = ()
    use_ids: tuple[str, ...] = ()
    records: tuple[RecordKey, ...] = ()


def locate(ledger: Ledger, keys: Collection[str], *, now: datetime) -> Located:
    """Rows of, or about, whoever has these keys, from one snapshot and without any lock; raises StoreUnavailable."""
    return ledger.read(lambda connection: locate_in(connection, keys, now=now))


def locate_in(connection: Connection, keys: Collection[str], *, now: datetime) -> Located:
    """The same within a transaction."""
    names = coupon_names(connection, keys)
    reservation_ids = tuple(_reservations(connection, names))
    named = receipt_lines.c.customer_id.in_(names.customer_ids)
    receipts = connection.execute(select(receipt_lines.c.receipt_id).where(named).distinct()).scalars()
    return Located(
        now - LATE,
        reservation_ids,
        tuple(sorted(receipts)),
        tuple(_uses(connection, names)),
        tuple(_records(connection, names, reservation_ids, now)),
    )


def coupon_names(connection: Connection, keys: Collection[str]) -> Names:
    """The keys, with the codes of all coupons of their own."""
    query = select(coupons.c.code, coupons.c.gcn, coupons.c.serial)
    rows = connection.execute(query.where(coupons.c.customer_id.in_(names_in_columns(keys)))).all()
    return Names(
        frozenset(keys),
        frozenset(row.code for row in rows),
        frozenset(f"{row.gcn}{row.serial}" for row in rows if row.gcn and row.serial),
    )


def _reservations(connection: Connection, names: Names) -> Iterator[str]:
    column = reservations.c.reservation_id
    found = set(connection.execute(select(column).where(reservations.c.customer_id.in_(names.customer_ids))).scalars())
    found.update(reservation_id for (reservation_id,) in _quoting(connection, names, "reservations", "reservation_id"))
    yield from sorted(found)


def _uses(connection: Connection, names: Names) -> Iterator[str]:
    """Uses that count, or once counted, under one of the names: another's as well, who was of this person then."""
    counted = cast(uses.c.counters, Text)
    query = select(uses.c.use_id, uses.c.counters)
    for chunk in _few([json.dumps(name) for name in names.customer_ids]):
        for row in connection.execute(query.where(_contains(connection, counted, chunk)).order_by(uses.c.use_id)):
            if any(names.is_theirs(subject) for _, scope, subject, _ in row.counters if scope == "customer"):
                yield row.use_id


def _records(
    connection: Connection, names: Names, reservation_ids: Sequence[str], now: datetime
) -> Iterator[RecordKey]:
    """Candidates: whether a body names the person its fields say, which SQL does not look at."""
    # Of what was done before the oldest record there is none.
    recent = connection.execute(select(func.min(idempotency.c.created_at))).scalar() or now
    mine = redemptions.c.customer_id.in_(names.customer_ids)
    paid = select(redemptions.c.redemption_id).where(mine, redemptions.c.redeemed_at >= recent)
    back = select(rollbacks.c.redemption_id).join(redemptions).where(mine, rollbacks.c.rolled_back_at >= recent)
    own_ids = {*connection.execute(paid).scalars(), *connection.execute(back).scalars()}
    for some in chunks(reservation_ids):
        held = select(reservations.c.reservation_id).where(reservations.c.reservation_id.in_(some))
        own_ids.update(connection.execute(held.where(reservations.c.created_at >= recent)).scalars())
    ids = [json.dumps(name, ensure_ascii=False) for name in names.customer_ids]
    ids += [json.dumps(key[2:], ensure_ascii=False) for key in names.keys if not key.startswith("c:")]
    is_postgresql = connection.dialect.name == "postgresql"
    column = idempotency.c.body
    body = func.convert_from(column, "UTF8") if is_postgresql else cast(column, String)
    query = select(idempotency.c.client, idempotency.c.key)
    found: set[RecordKey] = set()
    for chunk in _few(sorted({*ids, *own_ids})):
        rows = connection.execute(query.where(_contains(connection, body, chunk)))
        found.update((row.client, row.key) for row in rows)
    found.update((client, key) for client, key in _quoting(connection, names, "idempotency", "client, key"))
    yield from sorted(found)


_QUOTING = {
    "sqlite": """
        SELECT {columns} FROM {table} WHERE EXISTS (
            SELECT 1 FROM json_tree(json_extract({document}, '$.applied', '$.refused')) AS one
            WHERE one.key = 'code' AND ({is_theirs}))""",
    "postgresql": """
        SELECT {columns} FROM {table}, LATERAL (
            SELECT {document} -> 'applied' AS list UNION ALL SELECT {document} -> 'refused') AS each,
            LATERAL json_array_elements(CASE WHEN json_typeof(list) = 'array' THEN list END) AS one(value)
        WHERE {is_theirs}""",
}
"""Documents of quotes, whose coupons say how somebody typed each code: read once, however many codes there are."""
_CODE = {"sqlite": "one.value", "postgresql": "one.value ->> 'code'"}
_NORMAL = {
    # As `app.offers.terms.codes.normal_code` does it.
    "sqlite": "replace(replace(replace(replace(replace(upper({0}), '-', ''), ' ', ''), 'O', '0'), 'I', '1'), 'L', '1')",
    "postgresql": "translate(upper({0}), 'OIL- ', '011')",
}
_DOCUMENT = {
    ("reservations", "sqlite"): "answer",
    ("reservations", "postgresql"): "answer",
    ("idempotency", "sqlite"): "CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) ELSE '{}' END",
    ("idempotency", "postgresql"): "convert_from(body, 'UTF8')::json",
}
_POSITION = {"sqlite": "instr", "postgresql": "strpos"}


def _quoting(connection: Connection, names: Names, table: str, columns: str) -> Iterator[Sequence[str]]:
    """Rows with a quote for which somebody gave one of the codes, however they spelt it."""
    dialect = connection.dialect.name
    numbers = {f"gs1_{position}": number for position, number in enumerate(sorted(names.gs1))}
    for codes in chunks(sorted(names.codes)):
        is_theirs = f"{_NORMAL[dialect].format(_CODE[dialect])} IN :codes"
        is_theirs += "".join(f" OR {_POSITION[dialect]}({_CODE[dialect]}, :{name}) > 0" for name in numbers)
        document = _DOCUMENT[table, dialect]
        query = _QUOTING[dialect].format(columns=columns, table=table, document=document, is_theirs=is_theirs)
        statement = text(query).bindparams(bindparam("codes", expanding=True))
        yield from map(tuple, connection.execute(statement, {"codes": list(codes)} | numbers))


def _few(needles: Sequence[str]) -> Iterator[Sequence[str]]:
    """Few enough for one condition."""
    for start in range(0, len(needles), NEEDLES):
        yield needles[start : start + NEEDLES]


def _contains(connection: Connection, column: ColumnElement[str], needles: Sequence[str]) -> ColumnElement[bool]:
    """One of the needles stands somewhere in the text."""
    position = func.strpos if connection.dialect.name == "postgresql" else func.instr
    return or_(*(position(column, needle) > 0 for needle in needles))
