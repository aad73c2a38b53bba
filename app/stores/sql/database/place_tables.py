"""The tables of stores, their stock and their prices: what is true of places, next to the ledger in one database."""

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, Index, Integer, String, Table

from app.stores.sql.database.engine import Instant
from app.stores.sql.database.tables import metadata

stores = Table(
    "stores",
    metadata,
    Column("store_id", String(128), primary_key=True),
    Column("document", JSON, nullable=False),
    Column("revision", Integer, nullable=False, default=1),
    Column("updated_at", Instant, nullable=False),
)

stock = Table(
    "stock",
    metadata,
    Column("store_id", String(128), primary_key=True),
    Column("product_id", String(128), primary_key=True),
    Column("quantity_milli", BigInteger),
    Column("reserved_milli", BigInteger, nullable=False, default=0),
    Column("reports", JSON),
    Column("changed", BigInteger, nullable=False, index=True),
    CheckConstraint("reserved_milli >= 0", name="not_negative"),
)
"""Thousandths of a product's unit of sale: `quantity_milli` as reported (null: unknown), `reserved_milli` of it held.

`reports`: what is kept of the reports that led there (`app.places.stock`), so that late ones end in the same quantity.
`changed` is the number of the change that last touched the row: whoever follows reads those above the last one seen.
"""

prices = Table(
    "prices",
    metadata,
    Column("store_id", String(128), primary_key=True),
    Column("product_id", String(128), primary_key=True),
    Column("price_minor", BigInteger),
    Column("currency", String(3), nullable=False),
    Column("reference_minor", BigInteger),
    Column("since", Instant, nullable=False),
    Column("reports", JSON),
    Column("changed", BigInteger, nullable=False, index=True),
)
"""What a product costs in one store, or in all others where the id is empty; null: what the product table says.

`reference_minor`: the price that a reduction may name, where this price is one.
"""

price_history = Table(
    "price_history",
    metadata,
    Column("store_id", String(128), primary_key=True),
    Column("product_id", String(128), primary_key=True),
    Column("effective_at", Instant, primary_key=True),
    Column("price_minor", BigInteger),
    Column("currency", String(3), nullable=False),
)
"""Every price with the instant from which it counted; null: from then on no price of its own."""

place_changes = Table(
    "place_changes",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""The number of the last change to `stores`, to `stock` and to `prices`, a row for each name.

The number of `epoch` was drawn when the database was made: numbers of changes mean nothing in another one.

A writer takes numbers by changing this row, so changes become visible in the order of their numbers.
"""

stock_reservations = Table(
    "stock_reservations",
    metadata,
    Column("reservation_id", String(40), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("store_id", String(128), nullable=False),
    Column("order_id", String(128), nullable=False, index=True),
    Column("customer_id", String(128), index=True),
    Column("client", String(200), nullable=False),
    Column("lines", JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_stock_reservations_open", "status", "expires_at"),
)
"""Goods put aside in one store for one order. `status` is held, collected, released or expired."""
