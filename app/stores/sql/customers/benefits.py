"""What a customer got for their data: discounts and points of their redemptions, just as the ledger has them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from app.stores.sql.database.tables import redemption_lines, redemptions


@dataclass(frozen=True, slots=True)
class Benefits:
    """What was redeemed and did not come back, in one currency: minor units, points, and how many redemptions."""

    currency: str
    discount_minor: int
    points: int
    redemption_count: int


def benefits_of(connection: Connection, customer_ids: Sequence[str]) -> list[Benefits]:
    """What whoever has these ids got, by currency; empty where they never redeemed anything."""
    line = redemption_lines.c
    query = (
        select(
            redemptions.c.currency,
            func.sum(line.discount_minor - line.returned_minor).label("discount_minor"),
            func.sum(line.points - line.returned_points).label("points"),
            func.count(redemptions.c.redemption_id.distinct()).label("redemption_count"),
        )
        .join(redemption_lines, line.redemption_id == redemptions.c.redemption_id)
        .where(redemptions.c.customer_id.in_(customer_ids))
        .group_by(redemptions.c.currency)
        .order_by(redemptions.c.currency)
    )
    return [
        Benefits(row.currency, int(row.discount_minor), int(row.points), row.redemption_count)
        for row in connection.execute(query)
    ]
