"""A fresh process that takes the live tables over as a server does, and prints what that took as JSON.

`benchmarks.places.live_tables` starts it with the address of a database, the path of a snapshot and the products of a
bundle (how many, by their number).
"""

import asyncio
import ctypes
import gc
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter

import orjson
from prometheus_client import CollectorRegistry, Gauge

# All that a server has loaded before it reads its first row counts as before.
import app.main  # noqa: F401
from app.composition.places import PlacesFollower
from app.composition.service import steady_s
from app.places.live import LivePlaces
from app.places.views import BundleView
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.places.follow import last_seen
from benchmarks.places.world import Size

TICK_S = 0.001


def resident_bytes() -> int:
    """Of this process now, without what the allocator only keeps for later."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def longest_block_s(work: Callable[[], Coroutine[object, object, None]]) -> tuple[float, float]:
    """For how long at most nothing else came to its turn while the coroutine ran, and how long that was in all."""
    longest_s, begun = 0.0, perf_counter()
    task = asyncio.create_task(work())
    while not task.done():
        before = perf_counter()
        await asyncio.sleep(TICK_S)
        longest_s = max(longest_s, perf_counter() - before - TICK_S)
    await task
    return longest_s, perf_counter() - begun


def main(arguments: Sequence[str]) -> None:
    """Prints one JSON object."""
    url, snapshot, product_count = arguments[0], Path(arguments[1]), int(arguments[2])
    with closing(open_ledger(url)) as ledger:
        # Connections and prepared statements are no part of the tables.
        ledger.read(last_seen)
        products = Size(0, product_count).product_ids()
        before = resident_bytes()
        begun = monotonic()
        places = LivePlaces(clock=steady_s, currency="EUR")
        gauge = Gauge("staleness", "nobody reads it", registry=CollectorRegistry())
        follower = PlacesFollower(ledger, places, snapshot, gauge)
        follower.load()
        asyncio.run(follower.follow())
        view = BundleView(places.tables, places.tables.columns(products))
        ready_s = monotonic() - begun
        after = resident_bytes()
        for row in places.tables.row_of.values():
            view.available((row,))
        with_masks = resident_bytes()
        snapshot.unlink(missing_ok=True)
        blocked_s, written_s = asyncio.run(longest_block_s(partial(follower.write_snapshot, after=0)))
        copies_s = [_seconds(places.tables.copy) for _ in range(5)]
    found = {
        "stores": len(places.map.stores),
        "products": len(places.tables.column_of),
        "ready_s": round(ready_s, 2),
        "added_mib": round((after - before) / 2**20, 1),
        "masks_mib": round((with_masks - after) / 2**20, 1),
        "snapshot_mib": round(snapshot.stat().st_size / 2**20, 1) if snapshot.exists() else None,
        "snapshot_written_s": round(written_s, 2),
        "event_loop_blocked_ms": round(1000 * blocked_s, 1),
        "copy_ms": round(1000 * min(copies_s), 1),
        "of_which_mib": _parts(places),
    }
    print(orjson.dumps(found).decode())


def _seconds(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def _parts(places: LivePlaces) -> dict[str, float]:
    """Where it goes, as far as arrays and dictionaries say."""
    tables = places.tables
    sparse = {
        name: sum(row.columns.nbytes + row.values.nbytes for row in getattr(tables, name))
        for name in ("parts", "prices", "references")
    }
    ids = sys.getsizeof(tables.column_of) + sum(
        sys.getsizeof(name) + sys.getsizeof(column) for name, column in tables.column_of.items()
    )
    return {name: round(size / 2**20, 1) for name, size in {"cells": tables.cells.nbytes, **sparse, "ids": ids}.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
