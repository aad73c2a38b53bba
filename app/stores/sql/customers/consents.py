"""What customers said about consent, added and never changed: of a person it stands with each of their identities."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from app.customers.consents import GRANTED, LIFTED, OBJECTED, WITHDRAWN, Statement
from app.domain import JsonObject
from app.stores.sql.customers.changes import next_number, note_change
from app.stores.sql.customers.groups import keys_of
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.customer_tables import consents

_LATER = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where and when something was said: what a supervisory authority asks for. `at` None: now."""

    source: str
    text_version: str | None = None
    at: datetime | None = None


class Said(NamedTuple):
    """Something about one purpose, on a channel or on ALL_CHANNELS; `status` as in `app.customers.consents.SAID`."""

    purpose: str
    channel: str
    status: str


class Noted(NamedTuple):
    """The keys of everybody for whom it was noted."""

    keys: tuple[str, ...]


def say(connection: Connection, key: str, said: Said, evidence: Evidence, *, now: datetime) -> Noted:
    """Notes what the person with this identity said, for all their identities.

    What takes something away counts from now on, whatever was said for later; so does what has no time of its own.
    """
    number = next_number(connection)
    keys = keys_of(connection, key)
    is_stricter = said.status in (WITHDRAWN, OBJECTED)
    at = evidence.at or now
    if is_stricter or evidence.at is None:
        about = (GRANTED, WITHDRAWN) if said.status in (GRANTED, WITHDRAWN) else (OBJECTED, LIFTED)
        earlier = [one for of in statements_of(connection, keys).values() for one in of]
        latest = max((one.at for one in earlier if one.purpose == said.purpose and one.said in about), default=None)
        if latest is not None and latest >= at:
            at = latest + _LATER
    row = {"number": number, "purpose": said.purpose, "channel": said.channel, "said": said.status, "at": at}
    row |= {"source": evidence.source, "text_version": evidence.text_version, "recorded_at": now}
    connection.execute(insert(consents), [row | {"key": one} for one in keys])
    note_change(connection, number, keys, now=now)
    return Noted(keys)


def statements_of(connection: Connection, keys: Collection[str]) -> dict[str, list[Statement]]:
    """By key everything that was ever said there."""
    found: dict[str, list[Statement]] = {}
    for row in history_of(connection, keys):
        found.setdefault(row["key"], []).append(statement_of(row))
    return found


def statement_of(row: JsonObject) -> Statement:
    """A row of the table as a Statement."""
    return Statement(row["purpose"], row["channel"], row["said"], row["at"], row["number"])


def who_ever_said_no(connection: Connection) -> set[str]:
    """The keys under which anything was ever withdrawn or objected to."""
    query = select(consents.c.key).where(consents.c.said.in_((WITHDRAWN, OBJECTED))).distinct()
    return set(connection.execute(query).scalars())


def history_of(connection: Connection, keys: Collection[str]) -> list[JsonObject]:
    """The rows of everything that was said under these keys, oldest first."""
    rows: list[JsonObject] = []
    for chunk in chunks(sorted(keys)):
        query = select(consents).where(consents.c.key.in_(chunk)).order_by(consents.c.number, consents.c.key)
        rows += [dict(row) for row in connection.execute(query).mappings()]
    return rows
