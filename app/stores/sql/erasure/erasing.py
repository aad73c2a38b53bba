"""Erases a person from the database: what is only theirs is deleted, and what is money stays under a pseudonym.

Everything is one transaction, in which no till claims anything on PostgreSQL, and nobody writes on SQLite: it takes
some hundredths of a second, as the rows that no index leads to were located before.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, Table, delete, update

from app.offers.terms.codes import new_code
from app.offers.terms.records import CouponStatus
from app.stores.sql.coupons.issuing import OPEN
from app.stores.sql.customers.links import hold_persons
from app.stores.sql.database.customer_tables import consents, customer_changes, identities, persons, preferences
from app.stores.sql.database.place_tables import stock_reservations
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.database.tables import (
    audience,
    counters,
    coupons,
    idempotency,
    memberships,
    pending_revocations,
    projection_queue,
    receipt_lines,
    redemptions,
    reservations,
    uses,
)
from app.stores.sql.erasure.located import Located, locate_in
from app.stores.sql.erasure.names import PseudonymOf, scrub
from app.stores.sql.erasure.traces import body_of, key_names_them, order_ids, traces_of
from app.stores.sql.redemption.reservations import end_reservation

DELETED = (
    audience, memberships, receipt_lines, identities, persons, consents, preferences, customer_changes,
    projection_queue, pending_revocations,
)  # fmt: skip

REFUSED = 400
"""From this HTTP status on a request had no effect."""


def erase_in_sql(
    connection: Connection,
    keys: Collection[str],
    pseudonym_of: PseudonymOf,
    *,
    now: datetime,
    located: Located | None = None,
) -> dict[str, int]:
    """How many rows of which table were touched; nothing where the person is gone already.

    `keys` are all identity keys of one person, `pseudonym_of` gives the same text for the same id, of at most 128
    characters, and another for another. `located` is what `locate` found a moment ago; None looks within the
    transaction, however long that takes. What the tables hold of whoever has the keys now goes; it is not kept from
    coming again.

    Afterwards counters, uses, redemptions and reservations add up as before. Reservations that are held are released
    first, open coupons revoked. A stored response stays, so that its request sent again changes nothing, but for
    refusals and those whose key names the order or the person. Goods put aside stay so until they are collected or
    their time is over.
    """
    hold_persons(connection)
    erasure = _Erasure(connection, keys, pseudonym_of, located or locate_in(connection, keys, now=now), now)
    erasure.release_held()
    erasure.replace_coupons()
    erasure.replace_counters()
    erasure.replace_orders()
    erasure.scrub_records()
    erasure.delete_rest()
    return dict(erasure.touched)


class _Erasure:
    """One erasure in its transaction; its steps in the order in which claims lock: coupons before counters."""

    def __init__(
        self, connection: Connection, keys: Collection[str], pseudonym_of: PseudonymOf, located: Located, now: datetime
    ) -> None:
        self._connection = connection
        self._keys, self._located, self._now = frozenset(keys), located, now
        self._pseudonym_of = pseudonym_of
        self._traces = traces_of(connection, self._keys, located)
        self.touched: Counter[str] = Counter()

    def release_held(self) -> None:
        """Gives up what is held for them."""
        held = [row["reservation_id"] for row in self._traces.of(reservations) if row["status"] == "held"]
        for reservation_id in held:
            end_reservation(self._connection, reservation_id, "released", now=self._now)
        if held:
            # Uses are over then, coupons free and counters lower, and the queue names the customer.
            self._traces = traces_of(self._connection, self._keys, self._located)

    def replace_coupons(self) -> None:
        """Revokes what is open; codes are new and known to nobody, and no key says whom a coupon was for."""
        for row in self._traces.of(coupons):
            key, status = row["issue_key"], row["status"]
            values = {
                "customer_id": self._pseudonym_of(row["customer_id"]),
                "code": new_code(),
                "written_code": None,
                # The number is the offer's, the serial this coupon's.
                "serial": None,
                "issue_key": None if key is None else self._pseudonym_of(key),
                "status": CouponStatus.REVOKED if status in OPEN else status,
            }
            self._update(coupons, row, values)
        for row in self._traces.quotes["coupons"]:
            self._update(coupons, row, {"issue_key": self._pseudonym_of(row["issue_key"])})

    def replace_counters(self) -> None:
        """Uses count under the pseudonym, in each use as in the counters."""
        for row in [*self._traces.of(uses), *self._traces.quotes["uses"]]:
            counted = [self._counted(parts) for parts in row["counters"]]
            if counted != row["counters"]:
                self._update(uses, row, {"counters": counted})
        for row in self._traces.of(counters):
            self._delete(counters, row)
            if not row["used"]:
                continue
            moved = dict(row) | {"subject": self._pseudonym_of(row["subject"])}
            statement = insert(self._connection, counters).values(moved)
            more = {"used": counters.c.used + statement.excluded.used}
            self._connection.execute(
                statement.on_conflict_do_update(index_elements=list(counters.primary_key), set_=more)
            )

    def _counted(self, parts: list[str]) -> list[str]:
        campaign_id, scope, subject, period = parts
        is_theirs = scope == "customer" and self._traces.names.is_theirs(subject)
        return [campaign_id, scope, self._pseudonym_of(subject) if is_theirs else subject, period]

    def replace_orders(self) -> None:
        """Redemptions and reservations of orders that name nobody."""
        orders = order_ids(self._traces)
        for table in (redemptions, reservations, stock_reservations):
            for row in self._traces.of(table):
                order_id = row["order_id"]
                values = {
                    "customer_id": self._pseudonym_of(row["customer_id"]),
                    "order_id": self._pseudonym_of(order_id) if order_id in orders else order_id,
                }
                if table is redemptions:
                    values["decision_id"] = None
                if table is reservations:
                    values["answer"] = scrub(row["answer"], self._traces.names, self._pseudonym_of).document
                self._update(table, row, values)
        for row in self._traces.quotes["reservations"]:
            answer = scrub(row["answer"], self._traces.names, self._pseudonym_of).document
            self._update(reservations, row, {"answer": answer})

    def scrub_records(self) -> None:
        """Stored responses that name nobody. Without its key none is found again, so one whose key names them goes.

        So does a refusal, which had no effect: its key may name an order that is known nowhere else.
        """
        for row in self._traces.of(idempotency):
            if row["status"] >= REFUSED or key_names_them(row, self._traces):
                self._delete(idempotency, row)
            else:
                body = scrub(body_of(row), self._traces.names, self._pseudonym_of).document
                self._update(idempotency, row, {"body": orjson.dumps(body)})

    def delete_rest(self) -> None:
        """Deletes what is theirs alone."""
        for table in DELETED:
            for row in self._traces.of(table):
                self._delete(table, row)

    def _update(self, table: Table, row: RowMapping, values: Mapping[str, Any]) -> None:
        self._connection.execute(update(table).where(*_is(table, row)).values(values))
        self.touched[table.name] += 1

    def _delete(self, table: Table, row: RowMapping) -> None:
        self._connection.execute(delete(table).where(*_is(table, row)))
        self.touched[table.name] += 1


def _is(table: Table, row: RowMapping) -> list[ColumnElement[bool]]:
    return [column == row[column.name] for column in table.primary_key.columns]
