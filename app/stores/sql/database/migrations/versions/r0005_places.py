"""Stores with their stock and prices, and goods put aside in them."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes every table, and the row of each number that writers take."""
    _create_stores()
    _create_prices()
    _create_reservations()


def _create_stores() -> None:
    op.create_table(
        "stores",
        sa.Column("store_id", sa.String(128), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("store_id", name="pk_stores"),
    )
    op.create_table(
        "stock",
        sa.Column("store_id", sa.String(128), nullable=False),
        sa.Column("product_id", sa.String(128), nullable=False),
        sa.Column("quantity_milli", sa.BigInteger()),
        sa.Column("reserved_milli", sa.BigInteger(), nullable=False),
        sa.Column("reports", sa.JSON()),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "product_id", name="pk_stock"),
        sa.CheckConstraint("reserved_milli >= 0", name=op.f("ck_stock_not_negative")),
    )
    op.create_index("ix_stock_changed", "stock", ["changed"])
    changes = op.create_table(
        "place_changes",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_place_changes"),
    )
    # Tells this database from any other: numbers of changes mean nothing in another one.
    epoch = {"name": "epoch", "number": secrets.randbits(62)}
    op.bulk_insert(changes, [epoch, *({"name": name, "number": 0} for name in ("stores", "stock", "prices"))])


def _create_prices() -> None:
    op.create_table(
        "prices",
        sa.Column("store_id", sa.String(128), nullable=False),
        sa.Column("product_id", sa.String(128), nullable=False),
        sa.Column("price_minor", sa.BigInteger()),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("reference_minor", sa.BigInteger()),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("reports", sa.JSON()),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "product_id", name="pk_prices"),
    )
    op.create_index("ix_prices_changed", "prices", ["changed"])
    op.create_table(
        "price_history",
        sa.Column("store_id", sa.String(128), nullable=False),
        sa.Column("product_id", sa.String(128), nullable=False),
        sa.Column("effective_at", _INSTANT, nullable=False),
        sa.Column("price_minor", sa.BigInteger()),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.PrimaryKeyConstraint("store_id", "product_id", "effective_at", name="pk_price_history"),
    )


def _create_reservations() -> None:
    op.create_table(
        "stock_reservations",
        sa.Column("reservation_id", sa.String(40), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("store_id", sa.String(128), nullable=False),
        sa.Column("order_id", sa.String(128), nullable=False),
        sa.Column("customer_id", sa.String(128)),
        sa.Column("client", sa.String(200), nullable=False),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("reservation_id", name="pk_stock_reservations"),
    )
    op.create_index("ix_stock_reservations_order_id", "stock_reservations", ["order_id"])
    op.create_index("ix_stock_reservations_customer_id", "stock_reservations", ["customer_id"])
    op.create_index("ix_stock_reservations_open", "stock_reservations", ["status", "expires_at"])
