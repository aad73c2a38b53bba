"""Identities of customers, their consents and preferences."""

import sqlalchemy as sa
from alembic import op

revision = "a001"
down_revision = None

_INSTANT = sa.DateTime(timezone=True)
_KEY = sa.String(140)


def upgrade() -> None:
    """Makes every table, and the row of the numbers that writers take."""
    op.create_table(
        "identities",
        sa.Column("key", _KEY, nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("value", sa.String(128), nullable=False),
        sa.Column("owner", _KEY),
        sa.Column("linked_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_identities"),
    )
    op.create_index("ix_identities_owner", "identities", ["owner"])
    op.create_table(
        "persons",
        sa.Column("key", _KEY, nullable=False),
        sa.Column("person", _KEY, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_persons"),
    )
    op.create_index("ix_persons_person", "persons", ["person"])
    _create_consents()
    op.create_table(
        "customer_changes",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", _KEY, nullable=False),
        sa.Column("changed_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("number", "key", name="pk_customer_changes"),
    )
    op.create_index("ix_customer_changes_changed_at", "customer_changes", ["changed_at"])
    changes = sa.table("place_changes", sa.column("name"), sa.column("number"))
    op.bulk_insert(changes, [{"name": "customers", "number": 0}])


def _create_consents() -> None:
    op.create_table(
        "consents",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", _KEY, nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("said", sa.String(16), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("text_version", sa.String(200)),
        sa.Column("recorded_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("number", "key", name="pk_consents"),
    )
    op.create_index("ix_consents_key", "consents", ["key"])
    op.create_table(
        "preferences",
        sa.Column("key", _KEY, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_preferences"),
    )
