"""The tables of customers: their identities, what they allow and want, next to the ledger in one database.

A `key` is that of an identity (`app.customers.identities`): `c:` and a customer's id, `a:` and a visitor's.
"""

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table

from app.stores.sql.database.engine import Instant
from app.stores.sql.database.tables import Serial, metadata

KEY = 140

identities = Table(
    "identities",
    metadata,
    Column("key", String(KEY), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("value", String(128), nullable=False),
    Column("owner", String(KEY), index=True),
    Column("linked_at", Instant, nullable=False),
)
"""Whose an identity is since `linked_at`; `owner` null: it was separated then."""

persons = Table(
    "persons",
    metadata,
    Column("key", String(KEY), primary_key=True),
    Column("person", String(KEY), nullable=False, index=True),
)
"""Every identity that is joined with another, and the key that stands for all of them; made from `identities`."""

consents = Table(
    "consents",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("key", String(KEY), primary_key=True, index=True),
    Column("purpose", String(40), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("said", String(16), nullable=False),
    Column("at", Instant, nullable=False),
    Column("source", String(200), nullable=False),
    Column("text_version", String(200)),
    Column("recorded_at", Instant, nullable=False),
)
"""Everything that was ever said about a consent, added and never changed; `said` as in `app.customers.consents`.

What a person said stands with each of their identities, under the number of the one change.
"""

preferences = Table(
    "preferences",
    metadata,
    Column("key", String(KEY), primary_key=True),
    Column("document", JSON, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

customer_changes = Table(
    "customer_changes",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("key", String(KEY), primary_key=True),
    Column("changed_at", Instant, nullable=False),
    Index("ix_customer_changes_changed_at", "changed_at"),
)
"""Whose identities, consent or preferences changed lately: servers follow it, and forget what they keep of them.

Numbers are taken from the row `customers` of `place_changes`, so changes become visible in their order.
"""

erasures = Table(
    "erasures",
    metadata,
    Column("erasure_id", String(40), primary_key=True),
    Column("names", JSON, nullable=False),
    Column("tombstones", JSON, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("steps", JSON, nullable=False),
    Column("receipt", JSON(none_as_null=True)),
    Column("finished_at", Instant, index=True),
)
"""Requests to be forgotten. `names` are the keys of the person, empty from `finished_at` on."""

tombstones = Table(
    "tombstones",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("erasure_id", String(40), nullable=False),
    Column("erased_at", Instant, nullable=False),
)
"""Hashes, with the secret, of the keys of everybody who was erased (`app.customers.tombstones`)."""

audit = Table(
    "audit",
    metadata,
    Column("entry_id", Serial, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False, index=True),
    Column("client", String(200), nullable=False),
    Column("staff_id", String(128), nullable=False),
    Column("action", String(40), nullable=False),
    Column("key", String(KEY), nullable=False, index=True),
    Column("reason", String(200), nullable=False),
)
"""Who of the staff looked at whom, when and why; never changed, but for the key of somebody who was erased."""
