"""Stores as the ledger has them, for rows that name them: one that nobody knows has no stock and no prices."""

from collections.abc import Iterable, Mapping

import polars as pl

from app.imports.values import Fault
from app.settings import Settings
from app.stores.sql.database.engine import Ledger
from app.stores.sql.places.stores import store_currencies


def known_stores(ledger: Ledger, settings: Settings) -> dict[str, str]:
    """The currency of every store by id."""
    found = ledger.read(store_currencies)
    return {store_id: currency or settings.currency for store_id, currency in found.items()}


def unknown_store(store_id: pl.Series, stores: Mapping[str, str] | Iterable[str]) -> Fault:
    """The fault of rows of stores that are not among these."""
    reason = "store_not_found: import it first as --stores, or add it with PUT /v1/stores/{store_id}"
    return reason, store_id.is_not_null() & ~store_id.is_in(list(stores))
