"""What a migration makes of what is there."""

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from app.stores.sql.database import schema
from app.stores.sql.database.engine import Ledger, open_ledger

AT = "'2026-11-22 08:00:00'"
ROWS = (
    f"INSERT INTO campaigns (campaign_id, status, terms, funder, currency, spent_minor, held_minor, revision,"
    f" created_at, updated_at) VALUES ('k', 'running', '{{}}', 'retailer', 'EUR', 0, 0, 1, {AT}, {AT})",
    f"INSERT INTO offers (offer_id, campaign_id, revision, terms, issued_by, is_active, created_at, updated_at)"
    f" VALUES ('o', 'k', 1, '{{}}', 'staff', TRUE, {AT}, {AT})",
    f"INSERT INTO coupons (coupon_id, code, offer_id, campaign_id, status, uses, holds, issued_at, issued_by)"
    f" VALUES ('c', 'CODE', 'o', 'k', 'issued', 1, 0, {AT}, 'staff')",
    f"INSERT INTO redemptions (redemption_id, status, order_id, client, currency, basket_minor, discount_minor,"
    f" returned_minor, redeemed_at) VALUES ('r', 'partly_returned', 'x', 'till', 'EUR', 900, 200, 66, {AT})",
    "INSERT INTO uses (use_id, coupon_id, campaign_id, offer_id, offer_revision, redemption_id, discount_minor, points,"
    " cost_minor, is_open, counters) VALUES ('u', 'c', 'k', 'o', 1, 'r', 200, 0, 200, TRUE, '[]')",
    "INSERT INTO redemption_lines (redemption_id, use_id, line_id, product_id, quantity, discount_minor, cost_minor,"
    " points, returned_quantity) VALUES ('r', 'u', '1', 'tea', 0.3, 200, 200, 7, 0.1)",
)


def migrate_to(ledger: Ledger, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "app.stores.sql.database:migrations")
    with ledger.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_what_came_back_before_is_counted_as_it_was_then(empty_ledger_url: str) -> None:
    ledger = open_ledger(empty_ledger_url)
    migrate_to(ledger, "0002")
    ledger.write(lambda connection: [connection.execute(text(row)) for row in ROWS])
    schema.upgrade(ledger)
    query = text("SELECT returned_minor, returned_cost_minor, returned_points FROM redemption_lines")
    with ledger.engine.connect() as connection:
        assert connection.execute(query).one() == (66, 66, 2)
        assert connection.execute(text("SELECT bought FROM redemptions")).scalar_one() is None
    ledger.close()
