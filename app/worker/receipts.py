"""From accepted purchases and refunds to the coupons that receipts earn, and the ledger's upkeep now and then."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

from app.domain import Event
from app.errors import StoreUnavailable
from app.offers.rules.receipts import receipt_line
from app.offers.terms.time_zones import is_zone
from app.settings import Settings
from app.stores.redis.projections import Projections
from app.stores.sql.coupons.issuing import expire_due, revoke_pending
from app.stores.sql.coupons.receipt_issuing import RetailerData, delete_receipt_lines, issue_for_receipts
from app.stores.sql.database.clock import SteadyClock
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.schema import upgrade
from app.stores.sql.places.reservations import expire_stock_reservations
from app.stores.sql.redemption.idempotency import delete_expired
from app.stores.sql.redemption.reservations import expire_reservations

_log = logging.getLogger(__name__)


class Arrival(NamedTuple):
    """An event and when the service accepted it, by the stream's clock."""

    event: Event
    accepted_at: datetime


def issuing(ledger: Ledger, settings: Settings, projections: Projections) -> Callable[[Sequence[Arrival]], None]:
    """A function that issues what a batch's receipts earn and shows it; after StoreUnavailable the batch must be read
    again.

    Batches without a purchase or refund do not touch the ledger.
    """
    zones = StoreZones(settings.tables_dir / "stores.parquet", default=settings.time_zone)
    products = ProductAttributes(settings.tables_dir / "products.parquet")
    retailer = RetailerData(zones.of, products.of)

    def issue(arrivals: Sequence[Arrival]) -> None:
        every = (receipt_line(one.event, accepted_at=one.accepted_at, default_currency=settings.currency)
                 for one in arrivals)  # fmt: skip
        lines = [line for line in every if line is not None]
        if not lines:
            return
        # In each batch, because the ledger may come up after the worker; once it is current this is one read.
        upgrade(ledger)
        result = issue_for_receipts(ledger, lines, retailer, now=ledger.now())
        if result.issued_count or result.revoked_count:
            detail = f"{result.issued_count} issued, {result.revoked_count} revoked"
            _log.info("receipts checked", extra={"detail": detail})
            # At once, so that the next decision knows; what fails here the sweep does.
            projections.refresh(f"customer:{customer_id}" for customer_id in result.customer_ids)

    return issue


def upkeep(
    ledger: Ledger, settings: Settings, projections: Projections, *, clock: Callable[[], datetime]
) -> Callable[[], None]:
    """A function that ends what is over by this clock in the ledger, deletes what has expired, and rebuilds Redis's
    projections of what changed; raises StoreUnavailable."""
    # A clock that was set hours ahead must end no coupon for good, and forget no key that a till still repeats.
    steady = SteadyClock(clock)
    # A decision's coupon is good until the decision ends, though the offer may end before.
    guaranteed = timedelta(seconds=settings.decision_keep_s)

    def sweep() -> None:
        upgrade(ledger)
        now = steady.now()
        # Reservations first: what they release can then be revoked or expire.
        expire_reservations(ledger, now=now)
        expire_stock_reservations(ledger, now=now)
        revoke_pending(ledger, now=now)
        expire_due(ledger, now=now - guaranteed)
        delete_expired(ledger, now=now)
        delete_receipt_lines(ledger, now=now, keep=timedelta(seconds=settings.receipt_keep_s))
        projections.sweep(now=now)

    return sweep


class StoreZones:
    """The column `time_zone` of the store table, read again when an import has replaced it."""

    def __init__(self, path: Path, *, default: str) -> None:
        self._path = path
        self._default = default
        self._state: tuple[int, int, int] | None = None
        self._zones: Mapping[str, str] = {}

    def of(self, store_id: str | None) -> str:
        """The store's zone, or the default for a store without one and for no store; raises StoreUnavailable."""
        if store_id is None:
            return self._default
        self._refresh()
        return self._zones.get(store_id, self._default)

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._zones, self._state = {}, None
            return
        # The inode too: a replaced file is a new one, even within one tick of the clock.
        state = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if state != self._state:
            self._zones, self._state = self._read(), state

    def _read(self) -> dict[str, str]:
        table = _columns(self._path, "store_id", ["time_zone"])
        if "time_zone" not in table.columns:
            return {}
        zones = dict(table.drop_nulls().iter_rows())
        unknown = {store_id: zone for store_id, zone in zones.items() if not is_zone(zone)}
        if unknown:
            detail = ", ".join(f"{store_id}: {zone}" for store_id, zone in list(unknown.items())[:5])
            _log.error("stores name no time zone; the default holds for them", extra={"detail": detail})
        return {store_id: zone for store_id, zone in zones.items() if store_id not in unknown}


class ProductAttributes:
    """Columns of the product table that conditions look at."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, product_ids: Collection[str], names: Collection[str]) -> dict[str, dict[str, str]]:
        """These products' values in the columns that exist; raises StoreUnavailable."""
        if not names or not self._path.exists():
            return {}
        table = _columns(self._path, "product_id", names)
        table = table.filter(pl.col("product_id").is_in(list(product_ids))).cast(pl.String)
        rows = table.iter_rows(named=True)
        return {
            row.pop("product_id"): {name: value for name, value in row.items() if value is not None} for row in rows
        }


def _columns(path: Path, key: str, names: Collection[str]) -> pl.DataFrame:
    try:
        present = [name for name in pl.read_parquet_schema(path) if name in names]
        return pl.read_parquet(path, columns=[key, *present])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StoreUnavailable(f"{path} cannot be read ({error!r}); import it again") from error
