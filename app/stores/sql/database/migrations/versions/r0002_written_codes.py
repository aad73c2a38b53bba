"""Codes that somebody chose are kept as they were written."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the column, empty for every coupon that there is."""
    op.add_column("coupons", sa.Column("written_code", sa.String(80)))
