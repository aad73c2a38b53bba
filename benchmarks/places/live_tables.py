"""What live stock and prices cost a server process: memory, its start, the snapshot, and reading all of SQL.

    python -m benchmarks.places.live_tables
    python -m benchmarks.places.live_tables --engines sqlite postgresql

500 stores of 100,000 products, of which a store has few left of a quarter and prices of its own for 5 %: a fresh
process takes them over from a snapshot. Then all rows of 100 stores of 10,000 products are read from SQL. Exits with 1
when memory or start miss their aim.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import orjson

from app.places.snapshot import Seen, write_snapshot
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.schema import upgrade
from app.stores.sql.places.follow import last_seen, read_all
from benchmarks.places.world import Size, set_numbers, tables_of, write_rows, write_stores
from benchmarks.support import machine
from benchmarks.support.postgres import own_postgres

ADDED_MIB = 64.0
READY_S = 3.0
CHANGES = 10**6
"""More than a process lets pass before it writes the snapshot."""


def taken_over(folder: Path, size: Size, *, bundle_products: int | None = None) -> dict[str, Any]:
    """What a fresh process says that takes a world of this size over from a snapshot in the folder."""
    url, snapshot = f"sqlite:///{folder / 'ledger.db'}", folder / "live.npz"
    with closing(open_ledger(url)) as ledger:
        upgrade(ledger)
        write_stores(ledger, size)
        set_numbers(ledger, {"stock": CHANGES, "prices": CHANGES})
        seen = ledger.read(last_seen)
    write_snapshot(snapshot, tables_of(size), Seen(seen.epoch, seen.stock, seen.prices))
    words = [url, str(snapshot), str(size.product_count if bundle_products is None else bundle_products)]
    command = [sys.executable, "-m", "benchmarks.places.loaded", *words]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"the fresh process ended with {found.returncode}: {found.stderr[-2000:]}")
    report: dict[str, Any] = orjson.loads(found.stdout)
    return report


def read_from_sql(url: str, size: Size) -> dict[str, object]:
    """How long all rows of a new database at this address take to be read."""
    with closing(open_ledger(url)) as ledger:
        upgrade(ledger)
        write_stores(ledger, size)
        row_count = write_rows(ledger, size)
        taken_s = []
        for _ in range(3):
            begun = perf_counter()
            tables, stores, _ = ledger.read(read_all)
            taken_s.append(perf_counter() - begun)
        assert (len(stores), len(tables.column_of)) == (size.store_count, size.product_count)
    best_s = min(taken_s)
    price_count = sum(len(row.columns) + len(row.changed) for row in tables.prices)
    rows = row_count + price_count
    return {
        "stock": row_count,
        "prices": price_count,
        "s": round(best_s, 2),
        "s_per_million": _per_million(best_s, rows),
    }


def _per_million(seconds: float, rows: int) -> float:
    return round(seconds / rows * 10**6, 2)


@contextmanager
def database(engine: str) -> Iterator[str]:
    """The address of an empty database that goes with the block."""
    if engine == "sqlite":
        with TemporaryDirectory(prefix="endcap-places-") as folder:
            yield f"sqlite:///{folder}/ledger.db"
    else:
        with own_postgres() as server:
            yield server.url


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=500)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--engines", nargs="*", choices=("sqlite", "postgresql"), default=("sqlite",))
    parser.add_argument("--sql-stores", type=int, default=100)
    parser.add_argument("--sql-products", type=int, default=10_000)
    given = parser.parse_args()
    facts = machine.facts()
    with TemporaryDirectory(prefix="endcap-places-") as folder:
        found = taken_over(Path(folder), Size(given.stores, given.products))
    smaller, from_sql = Size(given.sql_stores, given.sql_products), {}
    for engine in given.engines:
        with database(engine) as url:
            from_sql[engine] = read_from_sql(url, smaller)
    machine.show({"benchmark": "live_tables", **facts, **machine.load(), "from_snapshot": found, "from_sql": from_sql})
    sys.exit(found["added_mib"] > ADDED_MIB or found["ready_s"] > READY_S)


if __name__ == "__main__":
    main()
