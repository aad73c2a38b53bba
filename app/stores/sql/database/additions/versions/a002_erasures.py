"""Requests to be forgotten, what stays of those who were, and who of the staff looked at whom."""

import sqlalchemy as sa
from alembic import op

revision = "a002"
down_revision = "a001"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "erasures",
        sa.Column("erasure_id", sa.String(40), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("tombstones", sa.JSON(), nullable=False),
        sa.Column("requested_at", _INSTANT, nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("receipt", sa.JSON()),
        sa.Column("finished_at", _INSTANT),
        sa.PrimaryKeyConstraint("erasure_id", name="pk_erasures"),
    )
    op.create_index("ix_erasures_finished_at", "erasures", ["finished_at"])
    op.create_table(
        "tombstones",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("erasure_id", sa.String(40), nullable=False),
        sa.Column("erased_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_tombstones"),
    )
    op.create_table(
        "audit",
        sa.Column("entry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("client", sa.String(200), nullable=False),
        sa.Column("staff_id", sa.String(128), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("key", sa.String(140), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_key", "audit", ["key"])
