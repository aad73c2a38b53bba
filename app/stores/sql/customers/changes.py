"""Numbers of changes to customers: taken one after the other, so that whoever follows misses none."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from app.customers.identities import customer_id_of
from app.stores.sql.database.customer_tables import customer_changes
from app.stores.sql.database.place_tables import place_changes
from app.stores.sql.database.projection_queue import enqueue

NAME = "customers"
PERSON, WALLET = "person:", "customer:"
"""How the queue of projections names a person's document and a customer's wallet."""
KEEP = timedelta(hours=1)
"""Servers ask several times a second; what is kept in memory of anybody is forgotten sooner than this."""


def next_number(connection: Connection) -> int:
    """The number of this transaction's change; from here to its end nobody else changes customers."""
    raised = update(place_changes).where(place_changes.c.name == NAME).values(number=place_changes.c.number + 1)
    return int(connection.execute(raised.returning(place_changes.c.number)).scalar_one())


def last_number(connection: Connection) -> int:
    """The number of the last change; 0 before the first."""
    return int(connection.execute(select(place_changes.c.number).where(place_changes.c.name == NAME)).scalar_one())


def note_change(connection: Connection, number: int, keys: Iterable[str], *, now: datetime) -> None:
    """Notes whose documents are others from now on, for the servers and for the projections in Redis."""
    changed = sorted(set(keys))
    if not changed:
        return
    connection.execute(insert(customer_changes), [{"number": number, "key": key, "changed_at": now} for key in changed])
    wallets = (f"{WALLET}{customer_id}" for key in changed if (customer_id := customer_id_of(key)) is not None)
    enqueue(connection, [*(f"{PERSON}{key}" for key in changed), *wallets], now=now)


def changed_since(connection: Connection, number: int) -> tuple[int, set[str]]:
    """The number of the last change, and whose changed after `number`."""
    query = select(customer_changes.c.key).where(customer_changes.c.number > number)
    return last_number(connection), set(connection.execute(query).scalars())


def delete_old_changes(connection: Connection, *, now: datetime) -> int:
    """Deletes what every server has followed long ago; returns how many."""
    statement = delete(customer_changes).where(customer_changes.c.changed_at < now - KEEP)
    return connection.execute(statement).rowcount
