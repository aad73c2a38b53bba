"""Room for an event's whole key, which holds its sender and its time too."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """From 200 to 400 characters; SQLite alters a column by copying its table."""
    with op.batch_alter_table("receipt_lines") as table:
        table.alter_column("event_id", existing_type=sa.String(200), type_=sa.String(400), existing_nullable=False)
