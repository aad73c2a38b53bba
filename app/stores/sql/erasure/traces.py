"""All rows of one person, and all of others that quote them: read once, for the export and for the erasure alike."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, Table, and_, select

from app.customers.identities import customer_id_of
from app.stores.sql.accounts.backfill import CLIENT
from app.stores.sql.coupons.audience_issuing import BY_AUDIENCE, BY_DECISION
from app.stores.sql.customers.changes import PERSON, WALLET
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.customer_tables import consents, customer_changes, identities, persons, preferences
from app.stores.sql.database.place_tables import stock_reservations
from app.stores.sql.database.tables import (
    audience,
    campaigns,
    counters,
    coupons,
    idempotency,
    memberships,
    offers,
    pending_revocations,
    projection_queue,
    receipt_lines,
    redemption_lines,
    redemptions,
    reservations,
    rollbacks,
    uses,
)
from app.stores.sql.erasure.located import Located, coupon_names
from app.stores.sql.erasure.names import Names, is_about, quoted

STATUSES = ("held", "redeemed", "released", "expired")
"""Of reservations: named one by one so that the index of status and expiry leads to the latest."""

Rows = list[RowMapping]


@dataclass(slots=True)
class Traces:
    """Rows by the table's name; `quotes` are of others: what they hold of the person goes, and the row stays."""

    names: Names
    rows: dict[str, Rows] = field(default_factory=dict)
    quotes: dict[str, Rows] = field(default_factory=dict)

    def of(self, table: Table) -> Rows:
        """The person's own rows."""
        return self.rows.get(table.name, [])


def traces_of(connection: Connection, keys: Collection[str], located: Located) -> Traces:
    """Everything of whoever has these keys, as of now; `located` may be some seconds old."""
    traces = Traces(coupon_names(connection, keys))
    names = traces.names.customer_ids
    for table in (audience, memberships, coupons, redemptions, stock_reservations):
        traces.rows[table.name] = _rows(connection, table, [table.c.customer_id.in_(names)])
    for table in (consents, preferences, customer_changes):
        traces.rows[table.name] = _rows(connection, table, [table.c.key.in_(keys)])
    traces.rows["identities"] = _rows(
        connection, identities, [identities.c.key.in_(keys), identities.c.owner.in_(keys)]
    )
    traces.rows["persons"] = _rows(connection, persons, [persons.c.key.in_(keys), persons.c.person.in_(keys)])
    queued = {f"{WALLET}{name}" for name in names} | {f"{PERSON}{key}" for key in keys}
    queued |= {f"{WALLET}{customer_id}" for key in keys if (customer_id := customer_id_of(key)) is not None}
    traces.rows["projection_queue"] = _rows(connection, projection_queue, _in(projection_queue.c.subject, queued))
    _read_reservations(connection, traces, located)
    _read_what_follows(connection, traces, located)
    _read_records(connection, traces, located)
    return traces


def _read_reservations(connection: Connection, traces: Traces, located: Located) -> None:
    table = reservations.c
    latest = table.status.in_(STATUSES) & (table.expires_at >= located.since) & (table.created_at >= located.since)
    rows = _rows(connection, reservations, [*_in(table.reservation_id, located.reservation_ids), latest])
    names = frozenset(traces.names.customer_ids)
    traces.rows["reservations"] = [row for row in rows if row["customer_id"] in names]
    others = [row for row in rows if row["customer_id"] not in names]
    traces.quotes["reservations"] = [row for row in others if quoted(row["answer"], traces.names)]


def _read_what_follows(connection: Connection, traces: Traces, located: Located) -> None:
    """What is found by the rows that were read before."""
    names, coupon_ids = traces.names.customer_ids, _ids(traces, coupons)
    redemption_ids, reservation_ids = _ids(traces, redemptions), _ids(traces, reservations)
    is_named = receipt_lines.c.customer_id.in_(names)
    latest = _rows(connection, receipt_lines, [is_named & (receipt_lines.c.accepted_at >= located.since)])
    receipt_ids = {*located.receipt_ids, *(row["receipt_id"] for row in latest)}
    # A line without a customer is of the customer whom its receipt's other lines name.
    is_theirs = is_named | receipt_lines.c.customer_id.is_(None)
    of_receipts = [and_(one, is_theirs) for one in _in(receipt_lines.c.receipt_id, receipt_ids)]
    traces.rows["receipt_lines"] = _rows(connection, receipt_lines, of_receipts)
    of_coupons = _in(pending_revocations.c.coupon_id, coupon_ids)
    traces.rows["pending_revocations"] = _rows(connection, pending_revocations, of_coupons)
    for table in (redemption_lines, rollbacks):
        traces.rows[table.name] = _rows(connection, table, _in(table.c.redemption_id, redemption_ids))
    own = [*_in(uses.c.redemption_id, redemption_ids), *_in(uses.c.reservation_id, reservation_ids)]
    traces.rows["uses"] = _rows(connection, uses, own)
    known = {row["use_id"] for row in traces.of(uses)}
    others = _rows(connection, uses, _in(uses.c.use_id, [one for one in located.use_ids if one not in known]))
    traces.quotes["uses"] = others
    of_customer = (counters.c.scope == "customer") & counters.c.subject.in_(names)
    # With the campaigns the primary key leads to them.
    is_counter = counters.c.campaign_id.in_(select(campaigns.c.campaign_id)) & of_customer
    traces.rows["counters"] = _rows(connection, counters, [is_counter])
    # The one coupon that an offer gives to a person may be another's by now.
    offer_ids = connection.execute(select(offers.c.offer_id)).scalars().all()
    issue_keys = [f"{by}:{offer}:{name}" for offer in offer_ids for by in (BY_AUDIENCE, BY_DECISION) for name in names]
    own_coupons = set(coupon_ids)
    issued = _rows(connection, coupons, _in(coupons.c.issue_key, issue_keys))
    traces.quotes["coupons"] = [row for row in issued if row["coupon_id"] not in own_coupons]


def _read_records(connection: Connection, traces: Traces, located: Located) -> None:
    own_ids = frozenset({*_ids(traces, redemptions), *_ids(traces, reservations)})
    traces.names = replace(traces.names, own_ids=own_ids | frozenset(_ids(traces, stock_reservations)))
    table = idempotency.c
    candidates = [(table.client == client) & (table.key == key) for client, key in located.records]
    rows = _rows(connection, idempotency, [*candidates, table.created_at >= located.since])
    traces.rows["idempotency"] = [row for row in rows if _is_named_in(row, traces)]


def _is_named_in(record: RowMapping, traces: Traces) -> bool:
    body = body_of(record)
    return bool(quoted(body, traces.names)) or key_names_them(record, traces)


def body_of(record: RowMapping) -> object:
    """The JSON of a stored response; None of one that holds none."""
    try:
        body: object = orjson.loads(record["body"])
    except orjson.JSONDecodeError:
        return None
    return body


def key_names_them(record: RowMapping, traces: Traces) -> bool:
    """Whether the response is about them, and its client put an order's id or theirs into the key."""
    if not is_about(body_of(record), traces.names):
        return False
    customer_ids = {key[2:] for key in traces.names.keys}
    named = "|".join(re.escape(one) for one in sorted(customer_ids | order_ids(traces)))
    return re.search(rf"(?<![A-Za-z0-9])({named})(?![A-Za-z0-9])", record["key"]) is not None


def order_ids(traces: Traces) -> set[str]:
    """Of their orders, as far as they were redeemed here: of imported ones nobody knows it."""
    tables = (redemptions, reservations, stock_reservations)
    return {row["order_id"] for table in tables for row in traces.of(table) if row["client"] != CLIENT} - {None}


def _ids(traces: Traces, table: Table) -> list[str]:
    (column,) = table.primary_key.columns
    return [row[column.name] for row in traces.of(table)]


def _in(column: ColumnElement[str], values: Iterable[str]) -> list[ColumnElement[bool]]:
    return [column.in_(chunk) for chunk in chunks(sorted(set(values)))]


def _rows(connection: Connection, table: Table, conditions: Sequence[ColumnElement[bool]]) -> Rows:
    """The rows for which one of the conditions holds, each once and in the order of their keys."""
    names = [column.name for column in table.primary_key.columns]
    found = {
        tuple(row[name] for name in names): row
        for condition in conditions
        for row in connection.execute(select(table).where(condition)).mappings()
    }
    return [found[key] for key in sorted(found)]
