"""The store table: documents as they were checked, and the numbers by which processes notice that one changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select

from app.domain import JsonObject
from app.errors import Conflict, Missing
from app.places.documents import InvalidStore, store_document, store_of_document
from app.places.store_rows import store_of_row, store_row
from app.places.stores import Store
from app.stores.sql.database.place_tables import stores
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.places.changes import lock_changes, next_change


class StoreNotFound(Missing):
    """No store has this id."""

    code = "store_not_found"


class StoreRevisionConflict(Conflict):
    """Somebody else changed the store since it was read."""

    code = "revision_conflict"


def put_stores(connection: Connection, given: Sequence[Store], *, now: datetime) -> int:
    """Adds these stores, or puts them in the place of those with their ids; how many differ from what was there."""
    lock_changes(connection, "stores")
    known = {row.store_id: row for row in connection.execute(select(stores))}
    changed = {}
    for store in given:
        document = store_document(store)
        before = known.get(store.store_id)
        if before is None or before.document != document:
            revision = 1 if before is None else before.revision + 1
            row = {"store_id": store.store_id, "document": document, "revision": revision, "updated_at": now}
            changed[store.store_id] = row
    if changed:
        statement = insert(connection, stores)
        fresh = {name: statement.excluded[name] for name in ("document", "revision", "updated_at")}
        statement = statement.on_conflict_do_update(index_elements=["store_id"], set_=fresh)
        connection.execute(statement, list(changed.values()))
        next_change(connection, "stores")
    return len(changed)


def put_store_rows(
    connection: Connection, rows: Sequence[Mapping[str, str | None]], *, time_zone: str, now: datetime
) -> int:
    """The same for rows of a table, each valid by itself: columns that a row lacks stay as they are, empty ones clear.

    A row that says nothing but its store_id only adds a store that is not there. `time_zone`: where none is known.
    """
    lock_changes(connection, "stores")
    known = stored_stores(connection)
    given = [
        _store_of_row(row, known.get(str(row["store_id"])), time_zone=time_zone)
        for row in rows
        if row["store_id"] not in known or any(value for name, value in row.items() if name != "store_id")
    ]
    return put_stores(connection, given, now=now)


def _store_of_row(row: Mapping[str, str | None], known: Store | None, *, time_zone: str) -> Store:
    said = {name: value or "" for name, value in row.items()}
    whole = ({} if known is None else store_row(known)) | said
    for cells in (whole, said):
        cells["time_zone"] = cells.get("time_zone") or time_zone
    try:
        return store_of_row(whole)
    except InvalidStore:
        # What was known does not go with what is said now, as ways of a store that became a warehouse.
        return store_of_row(said)


def put_store(connection: Connection, store: Store, *, revision: int | None, now: datetime) -> JsonObject:
    """The same for one, as `find_store` returns it. Raises StoreRevisionConflict where `revision` is not the last."""
    lock_changes(connection, "stores")
    last = connection.execute(select(stores.c.revision).where(stores.c.store_id == store.store_id)).scalar_one_or_none()
    if revision is not None and revision != (last or 0):
        detail = f"store {store.store_id!r} is at revision {last or 0}, not {revision}; read it again, then change it"
        raise StoreRevisionConflict(detail)
    put_stores(connection, [store], now=now)
    return find_store(connection, store.store_id)


def find_store(connection: Connection, store_id: str) -> JsonObject:
    """The document of the store with its `revision`; raises StoreNotFound."""
    row = connection.execute(select(stores).where(stores.c.store_id == store_id)).one_or_none()
    if row is None:
        raise StoreNotFound(f"no store {store_id!r}; PUT /v1/stores/{store_id} adds it")
    return dict(row.document) | {"revision": row.revision}


def list_stores(connection: Connection, *, after: str | None = None, limit: int = 1000) -> list[JsonObject]:
    """Documents with their revisions by id, those behind `after`."""
    query = select(stores).order_by(stores.c.store_id).limit(limit)
    if after is not None:
        query = query.where(stores.c.store_id > after)
    return [dict(row.document) | {"revision": row.revision} for row in connection.execute(query)]


def remove_store(connection: Connection, store_id: str) -> None:
    """Takes the store away; its stock and prices stay for one of the same id. Raises StoreNotFound."""
    lock_changes(connection, "stores")
    if connection.execute(delete(stores).where(stores.c.store_id == store_id)).rowcount == 0:
        raise StoreNotFound(f"no store {store_id!r}")
    next_change(connection, "stores")


def stored_stores(connection: Connection) -> Mapping[str, Store]:
    """All stores by id."""
    query = select(stores.c.store_id, stores.c.document)
    return {store_id: store_of_document(document) for store_id, document in connection.execute(query)}


def store_currencies(connection: Connection) -> Mapping[str, str | None]:
    """The currency of every store by id; None: the retailer's own."""
    query = select(stores.c.store_id, stores.c.document)
    return {store_id: document.get("currency") for store_id, document in connection.execute(query)}
