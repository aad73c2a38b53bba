"""Every table of the ledger: money is integer minor units, and what has happened is added, never changed."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from app.stores.sql.database.engine import Instant

# A later migration can change or drop a constraint only by its name, and SQLite gives it none by itself.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by themselves only in an INTEGER key.
Serial = BigInteger().with_variant(Integer, "sqlite")

campaigns = Table(
    "campaigns",
    metadata,
    Column("campaign_id", String(128), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("terms", JSON, nullable=False),
    Column("funder", String(200), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("starts_at", Instant),
    Column("ends_at", Instant),
    Column("budget_minor", BigInteger),
    Column("spent_minor", BigInteger, nullable=False, default=0),
    Column("held_minor", BigInteger, nullable=False, default=0),
    Column("revision", Integer, nullable=False, default=1),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    CheckConstraint("spent_minor >= 0 AND held_minor >= 0", name="not_negative"),
)
"""`funder`, `currency`, `starts_at`, `ends_at` and `budget_minor` repeat the terms for guards and reports."""

audience = Table(
    "audience",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.campaign_id", ondelete="CASCADE"), primary_key=True),
    Column("customer_id", String(128), primary_key=True, index=True),
    Column("assigned_at", Instant, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("customer_id", String(128), primary_key=True),
    Column("tier", String(200), nullable=False),
    Column("updated_at", Instant, nullable=False),
)

offers = Table(
    "offers",
    metadata,
    Column("offer_id", String(128), primary_key=True),
    Column("campaign_id", ForeignKey("campaigns.campaign_id"), nullable=False, index=True),
    Column("revision", Integer, nullable=False, default=1),
    Column("terms", JSON, nullable=False),
    Column("issued_by", String(16), nullable=False),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

offer_revisions = Table(
    "offer_revisions",
    metadata,
    Column("offer_id", ForeignKey("offers.offer_id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("terms", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
)

coupons = Table(
    "coupons",
    metadata,
    Column("coupon_id", String(40), primary_key=True),
    Column("code", String(64), nullable=False, unique=True),
    Column("offer_id", ForeignKey("offers.offer_id"), nullable=False, index=True),
    Column("campaign_id", ForeignKey("campaigns.campaign_id"), nullable=False),
    Column("customer_id", String(128)),
    Column("status", String(16), nullable=False),
    Column("max_uses", Integer),
    Column("uses", Integer, nullable=False, default=0),
    Column("holds", Integer, nullable=False, default=0),
    Column("valid_from", Instant),
    Column("valid_until", Instant),
    Column("issued_at", Instant, nullable=False),
    Column("issued_by", String(16), nullable=False),
    # A unique index of either database holds any number of NULLs, as of coupons without a key or a GS1 number.
    Column("issue_key", String(300), unique=True),
    Column("gcn", String(13)),
    Column("serial", String(12)),
    Column("written_code", String(80)),
    CheckConstraint("uses >= 0 AND holds >= 0", name="not_negative"),
    Index("ix_coupons_wallet", "customer_id", "status"),
    Index("ix_coupons_campaign", "campaign_id", "status"),
    Index("ix_coupons_due", "status", "valid_until"),
    Index("ix_coupons_gcn", "gcn", "serial", unique=True),
)
"""`status` is issued, reserved, redeemed, expired or revoked; a code for many stays issued until its last use.

`issue_key` makes an issue happen once: what it was for, as `receipt:<offer>:<receipt>`. `code` is what is compared,
`written_code` how it is shown where somebody chose it.
"""

counters = Table(
    "counters",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.campaign_id"), primary_key=True),
    Column("scope", String(16), primary_key=True),
    Column("subject", String(128), primary_key=True),
    Column("period", String(16), primary_key=True),
    Column("used", Integer, nullable=False, default=0),
    CheckConstraint("used >= 0", name="not_negative"),
)
"""Redemptions and reservations per limit: `subject` is a coupon, a customer, or empty for the whole campaign."""

reservations = Table(
    "reservations",
    metadata,
    Column("reservation_id", String(40), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("order_id", String(128)),
    Column("customer_id", String(128)),
    Column("client", String(200), nullable=False),
    Column("answer", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_reservations_open", "status", "expires_at"),
)
"""`status` is held, redeemed, released or expired."""

uses = Table(
    "uses",
    metadata,
    Column("use_id", String(40), primary_key=True),
    Column("coupon_id", ForeignKey("coupons.coupon_id"), nullable=False, index=True),
    Column("campaign_id", ForeignKey("campaigns.campaign_id"), nullable=False),
    Column("offer_id", ForeignKey("offers.offer_id"), nullable=False),
    Column("offer_revision", Integer, nullable=False),
    Column("reservation_id", ForeignKey("reservations.reservation_id"), index=True),
    Column("redemption_id", ForeignKey("redemptions.redemption_id"), index=True),
    Column("discount_minor", BigInteger, nullable=False),
    Column("points", BigInteger, nullable=False, default=0),
    Column("cost_minor", BigInteger, nullable=False),
    Column("is_open", Boolean, nullable=False, default=True),
    Column("counters", JSON, nullable=False),
)
"""One coupon in one reservation or redemption: what it took off, and the keys of the counters that it counts in.

`is_open` until it is freed: the reservation is over, or every line has come back.
"""

redemptions = Table(
    "redemptions",
    metadata,
    Column("redemption_id", String(40), primary_key=True),
    Column("status", String(24), nullable=False),
    Column("order_id", String(128), nullable=False, index=True),
    Column("customer_id", String(128), index=True),
    Column("client", String(200), nullable=False),
    Column("channel", String(16)),
    Column("store_id", String(128)),
    Column("currency", String(3), nullable=False),
    Column("basket_minor", BigInteger, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("returned_minor", BigInteger, nullable=False, default=0),
    Column("decision_id", String(128)),
    Column("redeemed_at", Instant, nullable=False, index=True),
    Column("bought", JSON),
)
"""`status` is redeemed, partly_returned or rolled_back.

`bought`: the loyalty tier and all lines, with or without a coupon, and how much of each is back; null where that was
not kept, as of imported redemptions.
"""

redemption_lines = Table(
    "redemption_lines",
    metadata,
    Column("redemption_id", ForeignKey("redemptions.redemption_id"), primary_key=True),
    Column("use_id", ForeignKey("uses.use_id"), primary_key=True),
    Column("line_id", String(128), primary_key=True),
    Column("product_id", String(128), nullable=False),
    Column("quantity", Float, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("cost_minor", BigInteger, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("returned_quantity", Float, nullable=False, default=0.0),
    Column("returned_minor", BigInteger, nullable=False, default=0),
    Column("returned_cost_minor", BigInteger, nullable=False, default=0),
    Column("returned_points", BigInteger, nullable=False, default=0),
)
"""What one coupon gave on one line, and what of it came back."""

rollbacks = Table(
    "rollbacks",
    metadata,
    Column("rollback_id", String(40), primary_key=True),
    Column("redemption_id", ForeignKey("redemptions.redemption_id"), nullable=False, index=True),
    Column("client", String(200), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("lines", JSON, nullable=False),
    Column("rolled_back_at", Instant, nullable=False),
)

budget_ledger = Table(
    "budget_ledger",
    metadata,
    Column("entry_id", Serial, primary_key=True, autoincrement=True),
    Column("campaign_id", ForeignKey("campaigns.campaign_id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("use_id", String(40)),
    Column("rollback_id", String(40)),
    Column("funder", String(200), nullable=False),
    Column("channel", String(16)),
    Column("entered_at", Instant, nullable=False),
)
"""Append-only, by triggers too. `kind`: budget (the amount is the new budget), hold, release, spend, return.

held = Σ hold − Σ release, spent = Σ spend − Σ return, each amount positive.
"""

idempotency = Table(
    "idempotency",
    metadata,
    Column("client", String(200), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, index=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(40), primary_key=True),
    Column("client", String(200), nullable=False),
    Column("slot", Integer),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("per_second", Integer),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("token_key", Text),
    Column("origins", JSON),
    Index("ix_api_keys_slot", "client", "slot", unique=True),
)
"""`slot` is 1 or 2 while the key lives and null afterwards: a client has two live keys at most.

Only a publishable key has a `token_key`. It has no scopes: whoever knows none but secret keys lets it do nothing.
"""

receipt_lines = Table(
    "receipt_lines",
    metadata,
    Column("receipt_id", String(128), primary_key=True),
    Column("event_id", String(400), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("product_id", String(128), nullable=False),
    Column("quantity", Float, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("customer_id", String(128)),
    Column("channel", String(16)),
    Column("store_id", String(128)),
    Column("occurred_at", Instant, nullable=False),
    Column("accepted_at", Instant, nullable=False, index=True),
)
"""Purchases and refunds of till receipts that issuing rules look at; `kind` is purchase or refund."""

pending_revocations = Table(
    "pending_revocations",
    metadata,
    Column("coupon_id", ForeignKey("coupons.coupon_id"), primary_key=True),
    Column("noted_at", Instant, nullable=False),
)
"""Coupons to be revoked that are reserved or used now: revoked if ever they are free and unused again."""

projection_queue = Table(
    "projection_queue",
    metadata,
    Column("subject", String(140), primary_key=True),
    Column("queued_at", Instant, nullable=False, index=True),
)
"""Whose projection in Redis is to be made again: `customer:<id>` or `campaign:<id>`."""
