"""Publishable keys: the public key of their tokens, and the origins of their pages."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds the columns, empty for every key that there is."""
    op.add_column("api_keys", sa.Column("token_key", sa.Text()))
    op.add_column("api_keys", sa.Column("origins", sa.JSON()))
