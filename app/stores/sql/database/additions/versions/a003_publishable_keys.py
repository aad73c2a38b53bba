"""Publishable keys: the public key of their tokens, and the origins of their pages."""

import sqlalchemy as sa
from alembic import op

revision = "a003"
down_revision = "a002"


def upgrade() -> None:
    """Adds the columns, empty for every key that there is."""
    op.add_column("api_keys", sa.Column("token_key", sa.Text()))
    op.add_column("api_keys", sa.Column("origins", sa.JSON()))
