"""Identities linked to customers and separated from them; who belongs together, and what counts, follows at once."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, text

from app.customers.identities import (
    Identity,
    Link,
    customer_ids_of,
    identity_behind,
    joined_with,
    person_key,
)
from app.errors import Conflict
from app.stores.sql.customers.changes import next_number, note_change
from app.stores.sql.customers.counters import recount
from app.stores.sql.customers.groups import keys_of_each
from app.stores.sql.database import projection_queue as queue
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.customer_tables import identities, persons

MOST = 100
"""A person has a few identities. A shop that names all its visitors by one customer id would join them all."""
LOCK = 0x656E64636170 + 1
"""What counts by customer reads who belongs together under this lock, shared; whoever changes that holds it alone."""
_LATER = timedelta(microseconds=1)


class TooManyIdentities(Conflict):
    """The customer would have more identities than a person can have."""

    code = "too_many_identities"


@dataclass(frozen=True, slots=True)
class Linked:
    """Whose the identity is now, and was before. Not `has_changed`: it was so already.

    `joined`: all keys of its person now; `keys`: of everybody whom the change touched.
    """

    identity: Identity
    owner: str | None
    former_owner: str | None
    joined: tuple[str, ...]
    keys: frozenset[str]
    has_changed: bool


def link(
    connection: Connection, owner: str, identity: Identity, *, at: datetime | None = None, now: datetime
) -> Linked:
    """From `at` (None: from now, whatever was said before) the identity is this customer's and nobody else's.

    Raises TooManyIdentities.
    """
    return _set_owner(connection, identity, owner=owner, of=owner, at=at, now=now)


def separate(
    connection: Connection, owner: str, identity: Identity, *, at: datetime | None = None, now: datetime
) -> Linked:
    """From `at` (None: from now) the identity is no longer this customer's; that of another it stays."""
    separated = _set_owner(connection, identity, owner=None, of=owner, at=at, now=now)
    behind = identity_behind(owner)
    if not separated.has_changed and identity.key != owner:
        # Two customers are linked whichever of them was said to be the other.
        return _set_owner(connection, behind, owner=None, of=identity.key, at=at, now=now)
    return separated


def share_persons(connection: Connection) -> None:
    """From here to the end of the transaction nobody becomes another person."""
    # SQLite lets one writer in at a time anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": LOCK})


def hold_persons(connection: Connection) -> None:
    """From here to the end of the transaction nobody else changes a person, or counts anything for one."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})


def _set_owner(
    connection: Connection, identity: Identity, *, owner: str | None, of: str, at: datetime | None, now: datetime
) -> Linked:
    hold_persons(connection)
    found = connection.execute(select(identities).where(identities.c.key == identity.key)).one_or_none()
    before = None if found is None else Link(found.owner, found.linked_at)
    # What is said now counts, though a clock that ran ahead may have said something for later.
    said_at = at or (now if before is None else max(now, before.at + _LATER))
    said = Link(owner, said_at)
    is_of_another = owner is None and before is not None and before.owner not in (None, of)
    is_news = owner != identity.key and not is_of_another and (before is None or before.is_before(said))
    former = None if before is None else before.owner
    if is_news:
        row = {"type": identity.type, "value": identity.value, "owner": owner, "linked_at": said_at}
        statement = queue.insert(connection, identities).values(key=identity.key, **row)
        connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=row))
    if not is_news or former == owner:
        joined = keys_of_each(connection, [identity.key])[identity.key]
        # Shown once more: whoever repeats a change may not know whether it got so far.
        return Linked(identity, former, former, joined, frozenset((*joined, of)), has_changed=False)
    touched = {identity.key, of} | ({former} if former is not None else set())
    after = _rejoin(connection, touched, now=now)
    return Linked(identity, owner, former, after[identity.key], frozenset(after), has_changed=True)


def _rejoin(connection: Connection, touched: set[str], *, now: datetime) -> dict[str, tuple[str, ...]]:
    """Says again who belongs together, for all whom the change can touch; by key all keys of that person."""
    number = next_number(connection)
    before = keys_of_each(connection, touched)
    affected = touched | {key for keys in before.values() for key in keys}
    after: dict[str, tuple[str, ...]] = {}
    for key in sorted(affected):
        if key not in after:
            joined = tuple(sorted(joined_with([key], lambda keys: _neighbours(connection, keys))))
            if len(joined) > MOST:
                raise TooManyIdentities(
                    f"with this one a person would have {len(joined)} identities, and may have {MOST}: separate those"
                    " that are no longer used, and check that no id stands for many people"
                )
            after |= dict.fromkeys(joined, joined)
    for chunk in chunks(sorted(after)):
        connection.execute(delete(persons).where(persons.c.key.in_(chunk)))
    rows = [{"key": key, "person": person_key(joined)} for key, joined in sorted(after.items()) if len(joined) > 1]
    if rows:
        connection.execute(insert(persons), rows)
    recount(connection, {name: customer_ids_of(keys)[0] for keys in after.values() for name in customer_ids_of(keys)})
    note_change(connection, number, after, now=now)
    return after


def _neighbours(connection: Connection, keys: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for chunk in chunks(sorted(keys)):
        is_near = identities.c.key.in_(chunk) | identities.c.owner.in_(chunk)
        for row in connection.execute(select(identities).where(is_near, identities.c.owner.is_not(None))):
            found.setdefault(row.key, []).append(row.owner)
            found.setdefault(row.owner, []).append(row.key)
    return found
