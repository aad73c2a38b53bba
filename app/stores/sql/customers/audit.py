"""Who of the staff looked at a customer, when and why."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from app.domain import JsonObject, subject_of
from app.stores.sql.database.customer_tables import audit

CLIENTELING = "clienteling"
PAGE = 500


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a customer: by which client and which of its people, and why."""

    client: str
    staff_id: str
    reason: str


def note_look(connection: Connection, look: Look, key: str, *, now: datetime) -> None:
    """Notes a look before it is granted."""
    row = {"client": look.client, "staff_id": look.staff_id, "reason": look.reason}
    connection.execute(insert(audit).values(at=now, action=CLIENTELING, key=key, **row))


def forget_looked_at(connection: Connection, keys: Collection[str], pseudonym_of: Callable[[str], str]) -> int:
    """The looks at these people stay, under a pseudonym; returns how many there are."""
    count = 0
    for key in sorted(keys):
        looked_at = update(audit).where(audit.c.key == key)
        count += connection.execute(looked_at.values(key=subject_of(pseudonym_of(key)))).rowcount
    return count


def delete_looks(connection: Connection, *, before: datetime) -> int:
    """Deletes looks that were longer ago; returns how many."""
    return connection.execute(delete(audit).where(audit.c.at < before)).rowcount


def looks(
    connection: Connection,
    *,
    keys: Collection[str] | None = None,
    after: int = 0,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> list[JsonObject]:
    """Entries in their order, at most PAGE: about these people (None: at all), behind this entry, in this period."""
    query = select(audit).where(audit.c.entry_id > after)
    if keys is not None:
        query = query.where(audit.c.key.in_(keys))
    if starts_at is not None:
        query = query.where(audit.c.at >= starts_at)
    if ends_at is not None:
        query = query.where(audit.c.at < ends_at)
    rows = connection.execute(query.order_by(audit.c.entry_id).limit(PAGE))
    return [{str(column.name): value for column, value in zip(audit.columns, row, strict=True)} for row in rows]
