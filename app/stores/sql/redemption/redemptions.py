"""Redemptions as they stand: what each coupon gave on each line, and what has come back of it."""

from itertools import groupby

from sqlalchemy import Connection, select

from app.stores.sql.database.tables import redemption_lines, redemptions, uses
from app.stores.sql.redemption.rollback import RedemptionNotFound

_OF_REDEMPTION = (
    "redemption_id", "status", "order_id", "customer_id", "channel", "store_id", "currency", "basket_minor",
    "discount_minor", "returned_minor", "decision_id", "redeemed_at",
)  # fmt: skip
_OF_USE = ("coupon_id", "offer_id", "offer_revision", "campaign_id", "discount_minor", "points")
_OF_LINE = ("line_id", "product_id", "quantity", "returned_quantity", "discount_minor", "points")


def find_redemption(connection: Connection, redemption_id: str) -> dict[str, object]:
    """The redemption with its coupons and their lines as a plain document; raises RedemptionNotFound."""
    query = select(redemptions).where(redemptions.c.redemption_id == redemption_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise RedemptionNotFound(f"no redemption {redemption_id!r}")
    query = select(redemption_lines).where(redemption_lines.c.redemption_id == redemption_id)
    # groupby() below needs the lines of a use next to each other.
    rows = connection.execute(query.order_by(redemption_lines.c.use_id, redemption_lines.c.line_id)).mappings()
    lines = {
        use_id: [{name: line[name] for name in _OF_LINE} for line in of_use]
        for use_id, of_use in groupby(rows, key=lambda line: line["use_id"])
    }
    query = select(uses).where(uses.c.redemption_id == redemption_id).order_by(uses.c.coupon_id)
    coupons = [
        {name: use[name] for name in _OF_USE} | {"lines": lines.get(use["use_id"], [])}
        for use in connection.execute(query).mappings()
    ]
    return {name: row[name] for name in _OF_REDEMPTION} | {"coupons": coupons}
