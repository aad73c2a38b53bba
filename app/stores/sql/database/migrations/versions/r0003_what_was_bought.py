"""Redemptions keep the whole basket, and their lines what came back of discount, cost and points."""

from fractions import Fraction

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_LINES = sa.table(
    "redemption_lines",
    *(sa.column(name) for name in ("redemption_id", "use_id", "line_id", "quantity", "returned_quantity")),
    *(sa.column(name) for name in ("discount_minor", "cost_minor", "points")),
    *(sa.column(name) for name in ("returned_minor", "returned_cost_minor", "returned_points")),
)


def upgrade() -> None:
    """Adds the columns; what came back so far follows from how much of each line did."""
    op.add_column("redemptions", sa.Column("bought", sa.JSON))
    for name in ("returned_minor", "returned_cost_minor", "returned_points"):
        op.add_column("redemption_lines", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    connection, line = op.get_bind(), _LINES.c
    for row in connection.execute(sa.select(_LINES).where(line.returned_quantity > 0)).mappings().all():
        share = min(Fraction(1), Fraction(repr(row["returned_quantity"])) / Fraction(repr(row["quantity"])))
        is_it = (line.redemption_id == row["redemption_id"]) & (line.use_id == row["use_id"])
        connection.execute(
            sa.update(_LINES)
            .where(is_it, line.line_id == row["line_id"])
            .values(
                returned_minor=int(row["discount_minor"] * share),
                returned_cost_minor=int(row["cost_minor"] * share),
                returned_points=int(row["points"] * share),
            )
        )
