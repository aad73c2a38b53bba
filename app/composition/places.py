"""Keeps what a server process knows of places equal to the database: read whole at start, then change by change."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from prometheus_client import Gauge

from app.api.state import Service
from app.errors import StoreUnavailable
from app.files import try_turn
from app.places.hours import prepare_regions
from app.places.live import STALE_AFTER_S, LivePlaces
from app.places.snapshot import Seen, read_snapshot, write_snapshot
from app.places.stores import Store
from app.places.tables import LiveTables
from app.stores.sql.database.engine import Ledger
from app.stores.sql.places.follow import Changes, NumbersDiffer, read_all, read_changes

AT_ONCE = 500
"""Changes that are taken over at a time: some 2 ms, in which nobody is answered."""
SNAPSHOT_AFTER = 50_000
"""Changes after which a snapshot is written again: a process that starts reads no more than that from SQL."""

_log = logging.getLogger(__name__)


def follower_of(service: Service) -> "PlacesFollower":
    """What keeps this service's places equal to its database."""
    settings = service.settings
    return PlacesFollower(service.ledger, service.places, settings.snapshot_file, service.metrics.stock_staleness)


class PlacesFollower:
    """One process's follower; all but `load` runs in its event loop."""

    def __init__(self, ledger: Ledger, places: LivePlaces, snapshot: Path, staleness: Gauge) -> None:
        self._ledger = ledger
        self._places = places
        self._snapshot = snapshot
        self._staleness = staleness
        self._seen: Seen | None = None
        self._written = 0

    def load(self) -> None:
        """Reads all before anybody asks; a database that is away leaves it to the turns that follow."""
        try:
            begun = monotonic()
            self._take(*self._read())
        except StoreUnavailable as error:
            _log.warning("places not read", extra={"detail": f"{error.message}; until they are, nothing is restricted"})
            return
        tables = self._places.tables
        if tables.row_of:
            found = f"{len(tables.row_of):,} stores and {len(tables.column_of):,} products"
            _log.info("places read", extra={"detail": f"{found} in {monotonic() - begun:.1f} s"})

    async def follow(self) -> None:
        """One turn: everything that changed since the last one. Never raises for the database's sake."""
        self._staleness.set(min(self._places.staleness_s, 1e9))
        with suppress(StoreUnavailable):
            if self._seen is None:
                self._take(*await asyncio.to_thread(self._read))
            while not await self._follow_on():
                pass

    async def follow_where_due(self) -> None:
        """The same where the last turn was a while ago."""
        if self._places.staleness_s > STALE_AFTER_S / 2:
            await self.follow()

    async def write_snapshot(self, *, after: int | None = None) -> None:
        """Writes a snapshot where so many changes (None: SNAPSHOT_AFTER) came, unless another process is at it."""
        least = SNAPSHOT_AFTER if after is None else after
        if self._seen is None or self._seen.stock + self._seen.prices - self._written < least:
            return
        self._written = self._seen.stock + self._seen.prices
        # A copy, because changes go on while a thread writes it.
        await asyncio.to_thread(self._write, self._places.tables.copy(), self._seen)

    def _write(self, tables: LiveTables, seen: Seen) -> None:
        self._snapshot.parent.mkdir(parents=True, exist_ok=True)
        with try_turn(self._snapshot.with_suffix(".lock")) as is_ours:
            if is_ours:
                write_snapshot(self._snapshot, tables, seen)

    async def _follow_on(self) -> bool:
        """Takes over the next changes; True where there are no more."""
        assert self._seen is not None
        seen, checked_s = self._seen, self._places.clock()
        try:
            changes = await asyncio.to_thread(self._changes, seen)
        except NumbersDiffer:
            _log.warning("places read again", extra={"detail": "the database is another one, or an older one"})
            self._take(*await asyncio.to_thread(self._read))
            return False
        if changes is not None:
            await self._apply(changes)
            self._seen = changes.seen
        if changes is None or changes.is_all:
            self._places.checked_s = checked_s
            return True
        return False

    def _changes(self, seen: Seen) -> Changes | None:
        """The next changes, and the calendars that new stores need."""
        changes = self._ledger.read(lambda connection: read_changes(connection, seen))
        if changes is not None and changes.stores is not None:
            _prepare_calendars(changes.stores)
        return changes

    async def _apply(self, changes: Changes) -> None:
        if changes.stores is not None:
            self._places.replace_stores(changes.stores)
        for start in range(0, len(changes.levels), AT_ONCE):
            self._places.change_stock(changes.levels[start : start + AT_ONCE])
            await asyncio.sleep(0)
        for start in range(0, len(changes.prices), AT_ONCE):
            self._places.change_prices(changes.prices[start : start + AT_ONCE])
            await asyncio.sleep(0)
        self._places.price_number = changes.seen.prices

    def _read(self) -> tuple[LiveTables, Mapping[str, Store], Seen, float]:
        """The snapshot where it goes with this database, else all of SQL."""
        checked_s = self._places.clock()
        found = read_snapshot(self._snapshot)
        if found is not None:
            tables, seen = found
            with suppress(NumbersDiffer):
                self._ledger.read(lambda connection: read_changes(connection, seen))
                return tables, {}, seen, -1.0
        tables, stores, seen = self._ledger.read(read_all)
        _prepare_calendars(stores)
        return tables, stores, seen, checked_s

    def _take(self, tables: LiveTables, stores: Mapping[str, Store], seen: Seen, checked_s: float) -> None:
        self._places.replace_tables(tables)
        self._places.price_number = seen.prices
        self._seen = seen
        if checked_s < 0:
            # A snapshot, which has no stores: those that are known stay until the next turn reads them.
            self._written = seen.stock + seen.prices
        else:
            self._places.replace_stores(stores)
            self._places.checked_s = checked_s


def _prepare_calendars(stores: Mapping[str, Store]) -> None:
    regions = [store.holiday_region for store in stores.values() if store.holiday_region is not None]
    prepare_regions(regions, year=datetime.now(UTC).year)
