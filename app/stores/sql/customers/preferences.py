"""What customers want and do not want, as they set it in a preference centre: one document for each identity."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, select

from app.domain import JsonObject
from app.stores.sql.customers.changes import next_number, note_change
from app.stores.sql.customers.consents import Noted
from app.stores.sql.customers.groups import keys_of
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.customer_tables import preferences
from app.stores.sql.database.projection_queue import insert


def set_preferences(connection: Connection, key: str, document: JsonObject, *, now: datetime) -> Noted:
    """From now on the person with this identity wants this, under all their identities."""
    number = next_number(connection)
    keys = keys_of(connection, key)
    row = {"document": document, "updated_at": now}
    statement = insert(connection, preferences)
    statement = statement.on_conflict_do_update(
        index_elements=["key"], set_=row | {"revision": preferences.c.revision + 1}
    )
    connection.execute(statement, [row | {"key": one, "revision": 1} for one in keys])
    note_change(connection, number, keys, now=now)
    return Noted(keys)


def preferences_of(connection: Connection, keys: Collection[str]) -> dict[str, JsonObject]:
    """By key its document, where there is one."""
    found: dict[str, JsonObject] = {}
    for chunk in chunks(sorted(keys)):
        query = select(preferences.c.key, preferences.c.document).where(preferences.c.key.in_(chunk))
        found.update((row.key, row.document) for row in connection.execute(query))
    return found
