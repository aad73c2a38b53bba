"""Numbers of changes to stores, stock and prices: whoever follows reads what has a number above the last it saw.

A writer locks the row of its numbers before anything else and until it commits. So the writers of one kind come one
after the other, and whoever sees a number sees all that are lower.
"""

from typing import Literal

from sqlalchemy import Connection, select, update

from app.stores.sql.database.place_tables import place_changes

ChangeName = Literal["stores", "stock", "prices"]


def lock_changes(connection: Connection, name: ChangeName) -> None:
    """From here to the end of the transaction nobody else writes what `name` numbers: the first thing a writer does."""
    if connection.dialect.name == "postgresql":
        # A plan that was kept from a table without rows reads all of it, until the server counts them again.
        connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")
    # SQLite lets in one writer at all, and knows no row locks.
    connection.execute(select(place_changes.c.number).where(place_changes.c.name == name).with_for_update()).one()


def next_change(connection: Connection, name: ChangeName, *, count: int = 1) -> int:
    """The next number, or the first of the next `count`; they are taken when the transaction commits."""
    statement = update(place_changes).where(place_changes.c.name == name)
    raised = statement.values(number=place_changes.c.number + count).returning(place_changes.c.number)
    return int(connection.execute(raised).scalar_one()) - count + 1


def last_change(connection: Connection, name: ChangeName) -> int:
    """The last number that was taken; 0 before the first."""
    return int(connection.execute(select(place_changes.c.number).where(place_changes.c.name == name)).scalar_one())
