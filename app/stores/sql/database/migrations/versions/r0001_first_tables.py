"""The first schema: campaigns, coupons, redemptions and the budget ledger that nothing changes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Tables are written out here and not taken from tables.py, which later revisions will change.
_INSTANT = sa.DateTime(timezone=True)
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes every table, in an order that foreign keys allow."""
    _create_campaigns()
    _create_coupons()
    _create_redemptions()
    _create_uses()
    _create_budget_ledger()
    _create_receipts()
    _create_clients()
    if op.get_bind().dialect.name == "postgresql":
        _refuse_changes_on_postgresql()
    else:
        _refuse_changes_on_sqlite()


def _refuse_changes_on_postgresql() -> None:
    # For each statement, because TRUNCATE fires no trigger for rows; SQLite has no TRUNCATE.
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'budget_ledger is append-only' USING ERRCODE = 'restrict_violation'; END $$
    """)
    op.execute("""
        CREATE TRIGGER budget_ledger_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON budget_ledger
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def _refuse_changes_on_sqlite() -> None:
    for change in ("UPDATE", "DELETE"):
        op.execute(f"""
            CREATE TRIGGER budget_ledger_stays_{change.lower()} BEFORE {change} ON budget_ledger
            BEGIN SELECT RAISE(ABORT, 'budget_ledger is append-only'); END
        """)


def _create_campaigns() -> None:
    op.create_table(
        "campaigns",
        sa.Column("campaign_id", sa.String(128), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("terms", sa.JSON, nullable=False),
        sa.Column("funder", sa.String(200), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("starts_at", _INSTANT),
        sa.Column("ends_at", _INSTANT),
        sa.Column("budget_minor", sa.BigInteger),
        sa.Column("spent_minor", sa.BigInteger, nullable=False),
        sa.Column("held_minor", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.CheckConstraint("spent_minor >= 0 AND held_minor >= 0", name="not_negative"),
    )
    op.create_table(
        "audience",
        sa.Column(
            "campaign_id", sa.String(128), sa.ForeignKey("campaigns.campaign_id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("customer_id", sa.String(128), primary_key=True, index=True),
        sa.Column("assigned_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "memberships",
        sa.Column("customer_id", sa.String(128), primary_key=True),
        sa.Column("tier", sa.String(200), nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "offers",
        sa.Column("offer_id", sa.String(128), primary_key=True),
        sa.Column("campaign_id", sa.String(128), sa.ForeignKey("campaigns.campaign_id"), nullable=False, index=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("terms", sa.JSON, nullable=False),
        sa.Column("issued_by", sa.String(16), nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "offer_revisions",
        sa.Column("offer_id", sa.String(128), sa.ForeignKey("offers.offer_id"), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("terms", sa.JSON, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )


def _create_coupons() -> None:
    op.create_table(
        "coupons",
        sa.Column("coupon_id", sa.String(40), primary_key=True),
        sa.Column("code", sa.String(64), nullable=False, unique=True),
        sa.Column("offer_id", sa.String(128), sa.ForeignKey("offers.offer_id"), nullable=False, index=True),
        sa.Column("campaign_id", sa.String(128), sa.ForeignKey("campaigns.campaign_id"), nullable=False),
        sa.Column("customer_id", sa.String(128)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("max_uses", sa.Integer),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("holds", sa.Integer, nullable=False),
        sa.Column("valid_from", _INSTANT),
        sa.Column("valid_until", _INSTANT),
        sa.Column("issued_at", _INSTANT, nullable=False),
        sa.Column("issued_by", sa.String(16), nullable=False),
        sa.Column("issue_key", sa.String(300), unique=True),
        sa.Column("gcn", sa.String(13)),
        sa.Column("serial", sa.String(12)),
        sa.CheckConstraint("uses >= 0 AND holds >= 0", name="not_negative"),
    )
    op.create_index("ix_coupons_wallet", "coupons", ["customer_id", "status"])
    op.create_index("ix_coupons_campaign", "coupons", ["campaign_id", "status"])
    op.create_index("ix_coupons_due", "coupons", ["status", "valid_until"])
    op.create_index("ix_coupons_gcn", "coupons", ["gcn", "serial"], unique=True)
    op.create_table(
        "counters",
        sa.Column("campaign_id", sa.String(128), sa.ForeignKey("campaigns.campaign_id"), primary_key=True),
        sa.Column("scope", sa.String(16), primary_key=True),
        sa.Column("subject", sa.String(128), primary_key=True),
        sa.Column("period", sa.String(16), primary_key=True),
        sa.Column("used", sa.Integer, nullable=False),
        sa.CheckConstraint("used >= 0", name="not_negative"),
    )


def _create_redemptions() -> None:
    op.create_table(
        "reservations",
        sa.Column("reservation_id", sa.String(40), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("order_id", sa.String(128)),
        sa.Column("customer_id", sa.String(128)),
        sa.Column("client", sa.String(200), nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
    )
    op.create_index("ix_reservations_open", "reservations", ["status", "expires_at"])
    op.create_table(
        "redemptions",
        sa.Column("redemption_id", sa.String(40), primary_key=True),
        sa.Column("status", sa.String(24), nullable=False),
        sa.Column("order_id", sa.String(128), nullable=False, index=True),
        sa.Column("customer_id", sa.String(128), index=True),
        sa.Column("client", sa.String(200), nullable=False),
        sa.Column("channel", sa.String(16)),
        sa.Column("store_id", sa.String(128)),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("basket_minor", sa.BigInteger, nullable=False),
        sa.Column("discount_minor", sa.BigInteger, nullable=False),
        sa.Column("returned_minor", sa.BigInteger, nullable=False),
        sa.Column("decision_id", sa.String(128)),
        sa.Column("redeemed_at", _INSTANT, nullable=False, index=True),
    )


def _create_uses() -> None:
    op.create_table(
        "uses",
        sa.Column("use_id", sa.String(40), primary_key=True),
        sa.Column("coupon_id", sa.String(40), sa.ForeignKey("coupons.coupon_id"), nullable=False, index=True),
        sa.Column("campaign_id", sa.String(128), sa.ForeignKey("campaigns.campaign_id"), nullable=False),
        sa.Column("offer_id", sa.String(128), sa.ForeignKey("offers.offer_id"), nullable=False),
        sa.Column("offer_revision", sa.Integer, nullable=False),
        sa.Column("reservation_id", sa.String(40), sa.ForeignKey("reservations.reservation_id"), index=True),
        sa.Column("redemption_id", sa.String(40), sa.ForeignKey("redemptions.redemption_id"), index=True),
        sa.Column("discount_minor", sa.BigInteger, nullable=False),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("cost_minor", sa.BigInteger, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("counters", sa.JSON, nullable=False),
    )
    op.create_table(
        "redemption_lines",
        sa.Column("redemption_id", sa.String(40), sa.ForeignKey("redemptions.redemption_id"), primary_key=True),
        sa.Column("use_id", sa.String(40), sa.ForeignKey("uses.use_id"), primary_key=True),
        sa.Column("line_id", sa.String(128), primary_key=True),
        sa.Column("product_id", sa.String(128), nullable=False),
        sa.Column("quantity", sa.Float, nullable=False),
        sa.Column("discount_minor", sa.BigInteger, nullable=False),
        sa.Column("cost_minor", sa.BigInteger, nullable=False),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("returned_quantity", sa.Float, nullable=False),
    )
    op.create_table(
        "rollbacks",
        sa.Column("rollback_id", sa.String(40), primary_key=True),
        sa.Column(
            "redemption_id", sa.String(40), sa.ForeignKey("redemptions.redemption_id"), nullable=False, index=True
        ),
        sa.Column("client", sa.String(200), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("lines", sa.JSON, nullable=False),
        sa.Column("rolled_back_at", _INSTANT, nullable=False),
    )


def _create_budget_ledger() -> None:
    op.create_table(
        "budget_ledger",
        sa.Column("entry_id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("campaign_id", sa.String(128), sa.ForeignKey("campaigns.campaign_id"), nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("use_id", sa.String(40)),
        sa.Column("rollback_id", sa.String(40)),
        sa.Column("funder", sa.String(200), nullable=False),
        sa.Column("channel", sa.String(16)),
        sa.Column("entered_at", _INSTANT, nullable=False),
    )


def _create_receipts() -> None:
    op.create_table(
        "receipt_lines",
        sa.Column("receipt_id", sa.String(128), primary_key=True),
        sa.Column("event_id", sa.String(200), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("product_id", sa.String(128), nullable=False),
        sa.Column("quantity", sa.Float, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("customer_id", sa.String(128)),
        sa.Column("channel", sa.String(16)),
        sa.Column("store_id", sa.String(128)),
        sa.Column("occurred_at", _INSTANT, nullable=False),
        sa.Column("accepted_at", _INSTANT, nullable=False, index=True),
    )
    op.create_table(
        "pending_revocations",
        sa.Column("coupon_id", sa.String(40), sa.ForeignKey("coupons.coupon_id"), primary_key=True),
        sa.Column("noted_at", _INSTANT, nullable=False),
    )


def _create_clients() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(40), primary_key=True),
        sa.Column("client", sa.String(200), nullable=False),
        sa.Column("slot", sa.Integer),
        sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("per_second", sa.Integer),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("revoked_at", _INSTANT),
    )
    op.create_index("ix_api_keys_slot", "api_keys", ["client", "slot"], unique=True)
    op.create_table(
        "idempotency",
        sa.Column("client", sa.String(200), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False, index=True),
    )
    op.create_table(
        "projection_queue",
        sa.Column("subject", sa.String(140), primary_key=True),
        sa.Column("queued_at", _INSTANT, nullable=False, index=True),
    )
