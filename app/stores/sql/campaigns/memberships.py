"""Customers' loyalty tiers in the ledger."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from app.stores.sql.customers.groups import customer_named
from app.stores.sql.database import projection_queue as queue
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.tables import memberships


def set_tier(connection: Connection, customer_id: str, tier: str, *, now: datetime) -> str:
    """From now on the customer is of this loyalty tier; returns the id that tables hold."""
    customer_id = customer_named(connection, customer_id)
    row = {"tier": tier, "updated_at": now}
    statement = queue.insert(connection, memberships).values(customer_id=customer_id, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["customer_id"], set_=row))
    queue.enqueue(connection, [f"customer:{customer_id}"], now=now)
    return customer_id


def tier_of(connection: Connection, customer_ids: Sequence[str]) -> str | None:
    """The loyalty tier of whoever has these ids, that of the first that has one; None where none is known."""
    if not customer_ids:
        return None
    known = tiers_of(connection, customer_ids)
    return next((known[customer_id] for customer_id in customer_ids if customer_id in known), None)


def list_tiers(connection: Connection) -> dict[str, str]:
    """The loyalty tier of every customer who has one."""
    return {row.customer_id: row.tier for row in connection.execute(select(memberships))}


def tiers_of(connection: Connection, customer_ids: Sequence[str]) -> dict[str, str]:
    """The loyalty tiers of those of the customers whose tier is known."""
    found: dict[str, str] = {}
    members = select(memberships.c.customer_id, memberships.c.tier)
    for chunk in chunks(customer_ids):
        ours = members.where(memberships.c.customer_id.in_(chunk))
        found.update((row.customer_id, row.tier) for row in connection.execute(ours))
    return found
